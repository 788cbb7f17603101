"""What ingest says of itself to Prometheus."""

from __future__ import annotations

import threading

from prometheus_client import REGISTRY

from foremend import wire
from ingest.inbox import Inbox
from ingest.intake import Arrival, read
from ingest.memory import MemoryStore
from ingest.metrics import METRICS
from ingest.worker import Worker

ADDRESS = wire.Address(tenant="demo", device="metrics-1")
START = 1_767_225_600_000


class Silent:
    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def puback(self, _arrivals) -> None:
        self._stop.set()

    def tell(self, _told) -> None:
        pass


def arrival(kind: wire.Up, message: object) -> Arrival:
    return Arrival(topic=ADDRESS.up(kind), payload=wire.encode(message))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"foremend_ingest_{name}", labels) or 0.0


def serve(*arrivals: Arrival) -> None:
    stop = threading.Event()
    worker = Worker(MemoryStore, Silent(stop), lambda: START)
    worker.inbox.put([read(one) for one in arrivals])
    worker.run(stop)


def test_gaps_refusals_and_commits_are_counted() -> None:
    names = ("gaps_total", "messages_total", "commit_seconds_count", "batch_messages_sum")
    before = {name: value(name) for name in names}
    refused = value("quarantined_total", reason="undecodable")
    birth = wire.Birth(
        boot="b",
        boot_ms=START,
        schema=wire.schema_hash(()),
        channels=(),
        family="f",
        model="m",
        timeline="sim:m",
    )
    details = {"first": 0, "last": 4, "reason": "outbox_full"}
    gap = wire.Event(boot="b", seq=5, ts_ms=START, code="gap", details=details)
    bad = Arrival(topic=ADDRESS.up(wire.Up.EVENT), payload=b"{]")
    serve(arrival(wire.Up.BIRTH, birth), arrival(wire.Up.EVENT, gap), bad)
    assert {name: value(name) - before[name] for name in names} == dict.fromkeys(names, 1.0)
    assert value("quarantined_total", reason="undecodable") - refused == 1


def test_what_agents_say_they_hold_is_shown() -> None:
    others = value("agents_unsettled_messages")
    held = wire.Status(boot="b", state="online", ts_ms=START, unsettled=7000)
    serve(arrival(wire.Up.STATUS, held))
    assert value("agents_deepest_unsettled_messages") == 7000
    assert value("agents_unsettled_messages") == others + 7000
    settled = wire.Status(boot="b", state="online", ts_ms=START, unsettled=0)
    serve(arrival(wire.Up.STATUS, settled))
    assert value("agents_unsettled_messages") == others


def test_what_is_in_flight_is_shown() -> None:
    inbox = Inbox()
    METRICS.watch(inbox)
    one = read(Arrival(topic="t", payload=b"12345"))
    inbox.put([one, one])
    assert (value("in_flight_messages"), value("in_flight_bytes")) == (2, 12)
    inbox.settled(inbox.take(0, 0))
    assert value("in_flight_messages") == 0
