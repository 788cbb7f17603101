"""What ingest counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from ingest.batch import Committed


class Metrics:
    """One set of counters a process."""

    def __init__(self) -> None:
        self.messages = Counter("foremend_ingest_messages_total", "Messages stored")
        self.frames = Counter("foremend_ingest_frames_total", "Frames stored")
        self.duplicates = Counter("foremend_ingest_duplicates_total", "Messages already stored")
        self.strangers = Counter(
            "foremend_ingest_strangers_total", "Messages of a boot or schema not introduced"
        )
        self.quarantined = Counter(
            "foremend_ingest_quarantined_total", "Messages set aside", ["reason"]
        )
        self.outages = Counter(
            "foremend_ingest_database_outages_total", "Commits that met no database"
        )
        self.acks_dropped = Counter(
            "foremend_ingest_acks_dropped_total", "Acknowledgements that the broker did not take"
        )
        self.commit_seconds = Histogram("foremend_ingest_commit_seconds", "Time of one commit")
        self.batch_messages = Histogram(
            "foremend_ingest_batch_messages",
            "Messages stored by one commit",
            buckets=(1, 4, 16, 64, 256, 1024, 4096),
        )

    def committed(self, committed: Committed) -> None:
        """Count one commit."""
        self.messages.inc(committed.messages)
        self.frames.inc(committed.frames)
        self.duplicates.inc(committed.duplicates)
        self.strangers.inc(committed.strangers)
        self.batch_messages.observe(committed.messages)
        for refused in committed.refused:
            self.quarantined.labels(refused.reason).inc()


METRICS: Final = Metrics()
