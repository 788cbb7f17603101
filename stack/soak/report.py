"""What a soak came to, for people and programs."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stack.soak.verdict import Verdict

NAME: Final = "soak-octoprint"
RSS_LIMIT_MB: Final = 8.0
"""What the agent may grow by, above what it takes once it has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a soak came to; memory in MiB, times in seconds."""

    verdict: Verdict
    pulled: dict[str, int]
    recovery_s: tuple[float, ...]
    rss_mb: float
    rss_growth_mb: float
    complaints: tuple[str, ...]

    @property
    def scenario(self) -> str:
        """Its name among the drill's."""
        return NAME

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.complaints

    def figures(self) -> dict[str, Any]:
        """Give the report as one JSON object's fields."""
        found, recovery = asdict(self.verdict), self.recovery_s
        return {
            "scenario": NAME,
            "loops": len(recovery),
            "acked": found["acked"],
            "stored": found["frames"],
            "lost": found["lost"],
            "duplicates": found["duplicates"],
            "gaps_recorded": found["reconnects"],
            "recovery_s_p50": round(statistics.median(recovery), 3) if recovery else None,
            "recovery_s_max": round(max(recovery), 3) if recovery else None,
            "rss_growth_mb": round(self.rss_growth_mb, 1),
            "passed": self.passed,
            "frames": found["frames"],
            "reconnects": found["reconnects"],
            "invented": found["invented"],
            "untold": found["untold"],
            "pulled": self.pulled,
            "rss_mb": round(self.rss_mb, 1),
            "complaints": list(self.complaints),
        }


def wrong_with(found: Verdict, growth_mb: float) -> list[str]:
    """Give what is wrong with a verdict, in words."""
    complaints = {
        f"{found.lost} acknowledged frames are not stored as they were sent": found.lost,
        f"{found.duplicates} frames are stored more than once": found.duplicates,
        f"{found.invented} frames hold values that OctoPrint never told": found.invented,
        f"{found.untold} pulled cables were not told of": found.untold,
        f"the agent grew by {growth_mb:.0f} MiB": growth_mb > RSS_LIMIT_MB,
        "nothing was acknowledged, so nothing was proven": not found.acked,
    }
    return [complaint for complaint, holds in complaints.items() if holds]
