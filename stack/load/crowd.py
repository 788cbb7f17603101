"""Simulated devices as they speak on the wire, and what of it is not acknowledged yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from foremend import wire
from simulators.fleets import FLEETS
from simulators.steps import SimEvent
from stack.load.troubles import Fate, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from foremend.clock import Millis
    from simulators.fleets import AnyFleet
    from simulators.steps import Step
    from stack.load.troubles import Switches

BOOT: Final = "b1"
SHARES: Final = {"fdm_printer": 0.7, "rotating_machine": 0.2, "hydraulic_excavator": 0.1}
STORM_CODE: Final = "mains_failure"
AGAIN_S: Final = 30.0
"""What is not acknowledged after so long is sent again, then after twice as long, as agents do."""


class Said(NamedTuple):
    """One message on its way: the device's number, topic and payload."""

    device: int
    topic: bytes
    payload: bytes


class Waiting(NamedTuple):
    """A message that is not acknowledged yet."""

    said: Said
    since_s: float
    again_s: float
    """When it is to be sent again if nothing comes until then."""


@dataclass(slots=True)
class Tally:
    """What was said and what came back."""

    messages: int = 0
    """Numbered ones, each counted once."""
    duplicates: int = 0
    reordered: int = 0
    resent: int = 0
    acknowledged: int = 0
    refused: int = 0
    delays_s: list[float] = field(default_factory=list)


class Crowd:
    """Some devices of each family; every one keeps what it said until it is acknowledged.

    Args:
        names: one for each device.
        tenant: whose they are.
        switches: what goes wrong.
        seed: of devices, faults and fate.
        start_ms: the wall clock now.
        period_s: seconds from one frame of a device to its next.
    """

    def __init__(
        self,
        names: list[str],
        *,
        tenant: str,
        switches: Switches,
        seed: int,
        start_ms: Millis,
        period_s: float,
    ) -> None:
        self.tally = Tally()
        self._fate = Fate(switches, seed)
        self._start_ms = start_ms
        self._places = list(_fleets(names, seed=seed, start_ms=start_ms, step_s=period_s))
        self._fleets = list(dict.fromkeys(fleet for fleet, _ in self._places))
        self._steps: dict[AnyFleet, Step] = {}
        self._values: dict[AnyFleet, list[list[float | None]]] = {}
        self._told: dict[AnyFleet, dict[int, list[SimEvent]]] = {}
        self._schemas = {fleet: wire.schema_hash(fleet.channels) for fleet in self._fleets}
        addresses = [wire.Address(tenant=tenant, device=name) for name in names]
        self._data = [a.up(wire.Up.DATA).encode() for a in addresses]
        self._births = [a.up(wire.Up.BIRTH).encode() for a in addresses]
        self._events = [a.up(wire.Up.EVENT).encode() for a in addresses]
        self._numbers = {a.down(wire.Down.ACK).encode(): n for n, a in enumerate(addresses)}
        self._skew_ms = [self._fate.skew_ms() for _ in names]
        self._seqs = [0] * len(names)
        self._waiting: list[dict[int, Waiting]] = [{} for _ in names]
        self._held: list[Said | None] = [None] * len(names)
        self.unborn = set(range(len(names)))
        self.called = set[int]()
        """Whose birth was asked for again, and not said since."""

    @property
    def unacknowledged(self) -> int:
        """Messages that nobody has acknowledged yet."""
        return sum(len(waiting) for waiting in self._waiting)

    def advance(self) -> None:
        """Let all devices live through one frame."""
        for fleet in self._fleets:
            step = fleet.step()
            self._steps[fleet] = step
            rows: list[list[float | None]] = step.values.tolist()
            self._values[fleet] = [_read(row) for row in rows]
            told = self._told[fleet] = dict[int, list[SimEvent]]()
            for event in step.events:
                told.setdefault(event.device_index, []).append(event)

    def birth(self, n: int) -> Said:
        """Introduce a device."""
        self.called.discard(n)
        fleet, place = self._places[n]
        birth = wire.Birth(
            boot=BOOT,
            # A clock that is fast or slow was so already when the device started.
            boot_ms=self._start_ms + min(0, self._skew_ms[n]) - 1000,
            schema=self._schemas[fleet],
            channels=fleet.channels,
            components=fleet.components(place),
            family=fleet.family,
            model=fleet.model,
            firmware=fleet.firmware,
        )
        return Said(n, self._births[n], wire.encode(birth))

    def speak(self, n: int, now_ms: Millis, now_s: float) -> list[Said]:
        """Let a device say its last frame, and what happened in it; in the order of sending."""
        fleet, place = self._places[n]
        step = self._steps[fleet]
        frames = wire.Frames(
            t0_ms=now_ms + self._skew_ms[n],
            offset_ms=[0],
            phase=[int(step.phase[place])],
            quality=[int(step.quality[place])],
            values=[[value] for value in self._values[fleet][place]],
        )
        seq = self._seqs[n]
        data = wire.Data(boot=BOOT, seq=seq, schema=self._schemas[fleet], frames=frames)
        said = self._sent(self._numbered(n, self._data[n], wire.encode(data), now_s))
        return [*said, *self._happened(n, now_ms, now_s), *self.overdue(n, now_s)]

    def _happened(self, n: int, now_ms: Millis, now_s: float) -> list[Said]:
        """Say what a device's firmware has to report of the frame."""
        fleet, place = self._places[n]
        return [
            self._event(n, now_ms, now_s, e.code, e.severity.value, dict(e.details))
            for e in self._told[fleet].get(place, ())
        ]

    def storm(self, now_ms: Millis, now_s: float) -> Iterator[Said]:
        """Let every device report one and the same error at once."""
        for n in range(len(self._events)):
            yield self._event(n, now_ms, now_s, STORM_CODE, "error", {})

    def _event(
        self,
        n: int,
        now_ms: Millis,
        now_s: float,
        code: str,
        severity: Literal["info", "warning", "error", "critical"],
        details: dict[str, wire.Scalar],
    ) -> Said:
        event = wire.Event(
            boot=BOOT,
            seq=self._seqs[n],
            ts_ms=now_ms + self._skew_ms[n],
            code=code,
            severity=severity,
            details=details,
        )
        return self._numbered(n, self._events[n], wire.encode(event), now_s)

    def again(self, devices: Iterable[int]) -> Iterator[Said]:
        """Give everything of some devices that is not acknowledged, once more."""
        for n in devices:
            self._held[n] = None
            for waiting in self._waiting[n].values():
                self.tally.resent += 1
                yield waiting.said

    def let_go(self) -> list[Said]:
        """Give what was held back, for no more is coming that could overtake it."""
        held = [said for said in self._held if said is not None]
        self._held = [None] * len(self._held)
        return held

    def overdue(self, n: int, now_s: float) -> list[Said]:
        """Give what of a device has waited too long, once more."""
        waiting = self._waiting[n]
        if not waiting or now_s < next(iter(waiting.values())).again_s:
            return []
        late = {seq: w for seq, w in waiting.items() if now_s >= w.again_s}
        waiting |= {
            seq: w._replace(again_s=now_s + max(AGAIN_S, now_s - w.since_s))
            for seq, w in late.items()
        }
        self.tally.resent += len(late)
        return [w.said for w in late.values()]

    def hear(self, topic: bytes, payload: bytes, now_s: float) -> None:
        """Take an acknowledgement; those of other crowds are left alone."""
        n = self._numbers.get(topic)
        if n is None:
            return
        ack = wire.decode_ack(payload)
        self.tally.refused += len(ack.refused)
        if ack.birth_wanted:
            self.unborn.add(n)
            self.called.add(n)
        elif ack.boot == BOOT:
            self.unborn.discard(n)
            self._settle(n, ack, now_s)

    def _settle(self, n: int, ack: wire.Ack, now_s: float) -> None:
        waiting = self._waiting[n]
        done = [seq for seq in waiting if seq <= ack.upto]
        for first, last in ack.ranges:
            done += [seq for seq in range(first, last + 1) if seq in waiting]
        for seq in done:
            self.tally.delays_s.append(now_s - waiting.pop(seq).since_s)
        self.tally.acknowledged += len(done)

    def _numbered(self, n: int, topic: bytes, payload: bytes, now_s: float) -> Said:
        said = Said(n, topic, payload)
        self._waiting[n][self._seqs[n]] = Waiting(said, now_s, now_s + AGAIN_S)
        self._seqs[n] += 1
        self.tally.messages += 1
        return said

    def _sent(self, said: Said) -> list[Said]:
        before, self._held[said.device] = self._held[said.device], None
        way = self._fate.way()
        if before is None and way is Way.HELD:
            self._held[said.device] = said
            return []
        out = [said, said] if way is Way.TWICE else [said]
        if before is not None:
            self.tally.reordered += 1
            out.append(before)
        self.tally.duplicates += way is Way.TWICE
        return out


def _fleets(
    names: list[str], *, seed: int, start_ms: Millis, step_s: float
) -> Iterator[tuple[AnyFleet, int]]:
    """Give each device's fleet and its place there: printers first, then machines, excavators."""
    begun, share = 0, 0.0
    for kind, (family, part) in enumerate(SHARES.items()):
        share += part
        some = names[begun : round(share * len(names))]
        begun += len(some)
        if some:
            make = FLEETS[family]
            fleet = make(names=some, seed=seed + kind, start_ms=start_ms, step_s=step_s)
            yield from ((fleet, place) for place in range(len(some)))


def _read(row: list[float | None]) -> list[float | None]:
    """Give a row with None where nothing was read."""
    if all(value is not None and math.isfinite(value) for value in row):
        return row
    return [None if value is None or math.isnan(value) else value for value in row]
