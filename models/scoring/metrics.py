"""What scoring counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from models.scoring.entries import Outputs

ENTRIES: Final = Counter("foremend_scoring_entries_total", "Entries of the input log followed")
BEHIND: Final = Gauge("foremend_scoring_entries_behind", "Entries logged and not yet followed")
STEP_SECONDS: Final = Histogram(
    "foremend_scoring_step_seconds", "Time to score a stretch of the log and to commit it"
)
OUTPUTS: Final = Counter("foremend_scoring_outputs_total", "Rows written", ["kind"])


def scored(entries: int, outputs: Outputs) -> None:
    """Count one committed stretch."""
    ENTRIES.inc(entries)
    for kind in ("health", "anomalies", "hazards", "predictions"):
        OUTPUTS.labels(kind).inc(len(getattr(outputs, kind)))
