"""What ingest counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from foremend import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.batch import Committed
    from ingest.inbox import Inbox
    from ingest.intake import Accepted


MOST_AGENTS: Final = 32_768


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
        self.late = Counter(
            "foremend_ingest_late_messages_total", "Messages stored apart, since they were late"
        )
        self.late_left = Counter(
            "foremend_ingest_late_left_total", "Late messages left to their devices to repeat"
        )
        self.gaps = Counter("foremend_ingest_gaps_total", "Ranges that agents gave up")
        self.in_flight = Gauge(
            "foremend_ingest_in_flight_messages", "Messages received and not settled"
        )
        self.in_flight_bytes = Gauge(
            "foremend_ingest_in_flight_bytes", "Bytes received and not settled"
        )
        self.partitions = Gauge("foremend_ingest_partitions", "Partitions that are taken in")
        self.lag_seconds = Gauge(
            "foremend_ingest_lag_seconds",
            "From taking the newest frame of the last commit to its commit, on live timelines",
        )
        self._depths: dict[wire.Address, int] = {}
        self.outbox_depth = Gauge(
            "foremend_ingest_agents_unsettled_messages",
            "Messages that agents said they hold, all together, when each last said so",
        )
        self.outbox_depth.set_function(lambda: sum(list(self._depths.values())))
        self.deepest_outbox = Gauge(
            "foremend_ingest_agents_deepest_unsettled_messages",
            "Messages that the agent holds which holds most",
        )
        self.deepest_outbox.set_function(lambda: max(list(self._depths.values()), default=0))
        self.acks_dropped = Counter(
            "foremend_ingest_acks_dropped_total", "Acknowledgements that the broker did not take"
        )
        self.commit_seconds = Histogram("foremend_ingest_commit_seconds", "Time of one commit")
        self.batch_messages = Histogram(
            "foremend_ingest_batch_messages",
            "Messages stored by one commit",
            buckets=(1, 4, 16, 64, 256, 1024, 4096),
        )

    def watch(self, inbox: Inbox) -> None:
        """Ask the inbox whenever somebody asks us."""
        self.in_flight.set_function(lambda: inbox.messages)
        self.in_flight_bytes.set_function(lambda: inbox.size)

    def heard(self, accepted: Iterable[Accepted]) -> None:
        """Note how much agents say that they still hold."""
        for one in accepted:
            message = one.message
            if isinstance(message, wire.Status) and message.unsettled is not None:
                self._depths[one.address] = message.unsettled
        if len(self._depths) > MOST_AGENTS:
            self._depths.clear()

    def committed(self, committed: Committed) -> None:
        """Count one commit."""
        self.messages.inc(committed.messages)
        self.frames.inc(committed.frames)
        self.duplicates.inc(committed.duplicates)
        self.strangers.inc(committed.strangers)
        self.gaps.inc(committed.gaps)
        if committed.lag_s is not None:
            self.lag_seconds.set(committed.lag_s)
        self.batch_messages.observe(committed.messages)
        for refused in committed.refused:
            self.quarantined.labels(refused.reason).inc()


METRICS: Final = Metrics()
