"""What upkeep counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.upkeep.housekeeping import Done

ENTRIES: Final = Counter("foremend_upkeep_entries_total", "Entries of the input log rolled up")
BEHIND: Final = Gauge("foremend_upkeep_entries_behind", "Entries logged and not yet rolled up")
ROWS: Final = Counter("foremend_upkeep_rows_total", "Rows of rollups written", ["span"])
SECTIONS: Final = Counter(
    "foremend_upkeep_sections_total",
    "Old sections dropped or compressed, or left for now since they were in use",
    ["action", "outcome"],
)


def tidied(results: Iterable[Done]) -> None:
    """Count what became of old sections."""
    for one in results:
        outcome = "done" if one.done else "in_use"
        SECTIONS.labels(one.decision.action.value, outcome).inc()
