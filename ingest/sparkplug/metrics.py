"""What the Sparkplug front door counts, for Prometheus, beside what ingest itself counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

if TYPE_CHECKING:
    from ingest.sparkplug.outcome import Outcome


class Metrics:
    """One set of counters a process."""

    def __init__(self) -> None:
        self.heard = Counter("foremend_sparkplug_messages_total", "Sparkplug messages heard")
        self.left_out = Counter(
            "foremend_sparkplug_left_out_total",
            "Messages and metrics that were neither stored nor set aside, and gaps recorded",
            ["what"],
        )
        self.rebirths = Counter(
            "foremend_sparkplug_rebirths_asked_total", "Edge nodes asked for births", ["reason"]
        )

    def left_out_of(self, out: Outcome) -> None:
        """Count what of some messages was not stored."""
        for what, count in out.tally.items():
            self.left_out.labels(what.value).inc(count)


METRICS: Final = Metrics()
