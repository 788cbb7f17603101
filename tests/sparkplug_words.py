"""Sparkplug messages for tests, and a host application that is rehearsed without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foremend import wire
from ingest.intake import Arrival
from ingest.sparkplug.descriptor import PayloadMessage
from ingest.sparkplug.host import Host, Ruling
from ingest.sparkplug.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

START = 1_767_225_600_000
REORDER_MS = 2_000
TEMP = {"name": "Temp", "alias": 1, "datatype": 10, "double_value": 20.0}
LOAD = {"name": "Load", "alias": 2, "datatype": 3, "int_value": 5}


def payload(seq: int | None, *metrics: dict, ts: int | None = START) -> bytes:
    """Give a payload; a metric's `properties` are a plain dictionary of integers and texts."""
    message = PayloadMessage()
    if ts is not None:
        message.timestamp = ts
    if seq is not None:
        message.seq = seq
    for told in metrics:
        fields = dict(told)
        properties = fields.pop("properties", {})
        metric = message.metrics.add(**fields)
        for key, value in properties.items():
            metric.properties.keys.append(key)
            if isinstance(value, str):
                metric.properties.values.add(type=12, string_value=value)
            else:
                metric.properties.values.add(type=3, int_value=value % 2**32)
    encoded: bytes = message.SerializeToString()
    return encoded


def bd_seq(number: int = 0) -> dict:
    return {"name": "bdSeq", "datatype": 4, "long_value": number}


class Rehearsal:
    """A host application, its clock, and everything that followed so far."""

    def __init__(self, **ruling: object) -> None:
        told = {"tenant": "demo", "groups": {}, "family": "sparkplug", "reorder_ms": REORDER_MS}
        self.host = Host(Ruling(**(told | ruling)))
        self.now_ms = START
        self.out = Outcome()

    def hear(
        self, kind: str, payload: bytes, device: str | None = None, *, retained: bool = False
    ) -> None:
        topic = f"spBv1.0/plant/{kind}/press{'' if device is None else f'/{device}'}"
        arrival = Arrival(topic=topic, payload=payload, qos=0)
        self.host.hear(arrival, retained=retained, now_ms=self.now_ms, out=self.out)

    def node_birth(self, *metrics: dict, bd: int = 0, ts: int = START) -> None:
        self.hear("NBIRTH", payload(0, bd_seq(bd), *metrics, ts=ts))

    def births(self, *metrics: dict, bd: int = 0, ts: int = START) -> None:
        self.node_birth(bd=bd, ts=ts)
        self.hear("DBIRTH", payload(1, *(metrics or (TEMP, LOAD)), ts=ts), "pump")

    def data(self, seq: int, *metrics: dict, ts: int | None = None, device: str = "pump") -> None:
        self.hear("DDATA", payload(seq, *metrics, ts=START + seq if ts is None else ts), device)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.host.tick(self.now_ms, self.out)

    def said(self, kind: type) -> list:
        return [a.message for a in self.out.accepted if isinstance(a.message, kind)]

    @property
    def values(self) -> list[tuple[float | None, ...]]:
        """Every frame's values, in the order in which they were said."""
        columns = (m.frames.values for m in self.said(wire.Data))
        return [row for told in columns for row in zip(*told, strict=True)]

    @property
    def qualities(self) -> list[int]:
        return [q for m in self.said(wire.Data) for q in m.frames.quality]

    @property
    def gaps(self) -> list[dict]:
        return [event.details for event in self.said(wire.Event)]

    @property
    def refusals(self) -> list[str]:
        return [one.reason for one in self.out.refused]

    @property
    def asked(self) -> list[str]:
        """Why the edge node was asked for its births, each time."""
        return [rebirth.reason.value for rebirth in self.out.rebirths]


def told(alias: int, value: float, **more: object) -> dict:
    """Give a metric by alias alone, as messages after a birth do."""
    field = {1: "double_value", 2: "int_value"}.get(alias, "double_value")
    return {"alias": alias, field: value} | more


def states(messages: Iterable[wire.Status]) -> list[str]:
    return [status.state for status in messages]
