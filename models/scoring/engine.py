"""The scoring engine: entries of the input log in, outputs out; pure, and exact under replay.

What a device's state becomes depends on that device's entries and their order alone, however they
were cut into batches and whichever other devices share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from foremend.values import PART_REPLACED
from models.features.state import SnapshotMismatch
from models.scoring.entries import Adoption, Batch, FrameRows, Introduction, Outputs
from models.scoring.lane import Lane, LaneState
from models.scoring.prognosis import Prognosis, PrognosisState
from models.scoring.turns import chosen_rows, turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.failure import FailureModel
    from models.scoring.entries import Entry, EventRow

    Ints = NDArray[np.int64]


class Models(Protocol):
    """Gives verified models by version."""

    def failure_model(self, version: str) -> FailureModel:
        """Load one; raises where its signature or its libraries do not fit."""


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """One device as a snapshot keeps it."""

    introduction: dict[str, Any]
    lane: LaneState
    prognosis: PrognosisState | None
    version: str | None


@dataclass(slots=True)
class _Device:
    partition: int
    introduction: dict[str, Any]
    lane: Lane
    prognosis: Prognosis | None = None


@dataclass(slots=True)
class Engine:
    """Scores every device of the partitions whose entries it is given.

    Without digests no health, drift or second opinion is told; predictions and alarms are the same.
    """

    models: Models
    digests: bool = True
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _prognoses: dict[str, Prognosis] = field(default_factory=dict)
    _devices: dict[int, _Device] = field(default_factory=dict)
    _versions: dict[tuple[int, str], str] = field(default_factory=dict)
    """Per partition and cohort, the model version in force."""

    def take(self, entries: Iterable[Entry]) -> Outputs:
        """Score entries, each partition's in log order; gives everything that follows."""
        out = Outputs()
        for batches, barrier in _runs(entries):
            self._score(batches, out)
            if isinstance(barrier, Introduction):
                self._introduce(barrier)
            elif isinstance(barrier, Adoption):
                self._adopt(barrier)
        return out

    @property
    def devices(self) -> Sequence[int]:
        """The devices that have been introduced."""
        return tuple(self._devices)

    def tenant_and_timeline(self, device: int) -> tuple[str, str]:
        """Say whose a device is and on which timeline it lives."""
        told = self._devices[device].introduction
        return told["tenant"], told["timeline"]

    def snapshot(self, partition: int) -> dict[str, bytes]:
        """Give the state of one partition: its devices by id, and what they share."""
        shared = {cohort: v for (p, cohort), v in self._versions.items() if p == partition}
        states = {"partition": msgspec.msgpack.encode(shared, order="sorted")}
        for name, device in self._devices.items():
            if device.partition == partition:
                states[str(name)] = msgspec.msgpack.encode(self._state_of(name, device))
        return states

    def restore(self, partition: int, states: dict[str, bytes]) -> None:
        """Put the state of one partition back, in a fresh engine."""
        shared = msgspec.msgpack.decode(states.get("partition", b"\x80"), type=dict[str, str])
        self._versions |= {(partition, cohort): version for cohort, version in shared.items()}
        for subject in sorted(states.keys() - {"partition"}, key=int):
            state = msgspec.msgpack.decode(states[subject], type=DeviceState)
            self._introduce(Introduction(partition=partition, payload=state.introduction))
            device = self._devices[int(subject)]
            device.lane.restore(int(subject), state.lane)
            if device.prognosis is not None and state.prognosis is not None:
                device.prognosis.restore(int(subject), state.prognosis)

    def _state_of(self, name: int, device: _Device) -> DeviceState:
        prognosis = device.prognosis
        return DeviceState(
            introduction=device.introduction,
            lane=device.lane.snapshot(name),
            prognosis=None if prognosis is None else prognosis.snapshot(name),
            version=None if prognosis is None else prognosis.version,
        )

    def _introduce(self, entry: Introduction) -> None:
        told = entry.payload
        name = told["device_id"]
        lane = self._lane(told["channels"])
        known = self._devices.get(name)
        if known is not None:
            told = told | {"components": _latest(known.introduction, told)}
            if known.lane is not lane:
                known.lane.vacate(name)
        lane.seat(name)
        device = _Device(entry.partition, told, lane, known.prognosis if known else None)
        self._devices[name] = device
        self._follow(name, device)
        if device.prognosis is not None:
            device.prognosis.installed(name, told["components"])

    def _adopt(self, entry: Adoption) -> None:
        if entry.kind != "model":
            return
        self._versions[entry.partition, entry.cohort] = entry.version
        for name, device in self._devices.items():
            if (device.partition, device.introduction["family"]) == (entry.partition, entry.cohort):
                self._follow(name, device)

    def _follow(self, name: int, device: _Device) -> None:
        """Move a device to the version in force; it takes along what the new layout can read."""
        version = self._versions.get((device.partition, device.introduction["family"]))
        last = device.prognosis
        if version == (None if last is None else last.version):
            return
        before = None if last is None else last.snapshot(name)
        if last is not None:
            last.vacate(name)
        device.prognosis = None if version is None else self._prognosis(version)
        if device.prognosis is not None:
            device.prognosis.seat(name)
            device.prognosis.installed(name, device.introduction["components"])
            _carry_over(device.prognosis, name, before)

    def _lane(self, channels: list[dict[str, Any]]) -> Lane:
        key = msgspec.json.encode(channels).decode()
        if key not in self._lanes:
            self._lanes[key] = Lane.of_channels(channels, digested=self.digests)
        return self._lanes[key]

    def _prognosis(self, version: str) -> Prognosis:
        if version not in self._prognoses:
            self._prognoses[version] = Prognosis(version, self.models.failure_model(version))
        return self._prognoses[version]

    def _score(self, batches: Sequence[Batch], out: Outputs) -> None:
        """Score a run of batches: frames of all devices together, up to each device's next event.

        Events are rare, so that turns are few and each is one vectorised call a lane.
        """
        for frames, events in turns(batches):
            for rows in map(self._understood, frames):
                for lane, chosen in self._by_lane(rows):
                    self._score_lane(lane, chosen, out)
            for event in events:
                self._happen(event, out)

    def _understood(self, rows: FrameRows) -> FrameRows:
        """Leave out frames from before a device's present birth if they tell other channels."""
        present = [self._devices[int(d)].introduction["schema_id"] for d in rows.device]
        mine = rows.schema == np.array(present, dtype=np.int64)
        return rows if mine.all() else chosen_rows(rows, mine)

    def _score_lane(self, lane: Lane, rows: FrameRows, out: Outputs) -> None:
        score = lane.score(rows, out)
        following = [self._devices[int(d)].prognosis for d in rows.device]
        for prognosis in dict.fromkeys(p for p in following if p is not None):
            mine = np.array([p is prognosis for p in following])
            prognosis.frames(chosen_rows(rows, mine), lane.channels, score[mine], out)

    def _by_lane(self, rows: FrameRows) -> Iterable[tuple[Lane, FrameRows]]:
        lanes = [self._devices[int(d)].lane for d in rows.device]
        for lane in {id(lane): lane for lane in lanes}.values():
            mine = np.array([one is lane for one in lanes])
            yield lane, rows if mine.all() else chosen_rows(rows, mine)

    def _happen(self, event: EventRow, out: Outputs) -> None:
        device = self._devices[event.device]
        if event.code == PART_REPLACED and event.component is not None:
            device.lane.replaced(event.device, event.component, event.ts_ms)
            told = _refitted(device.introduction, event.component, event.ts_ms)
            device.introduction = told
        if device.prognosis is not None:
            device.prognosis.event(event, out)


def _carry_over(prognosis: Prognosis, name: int, before: PrognosisState | None) -> None:
    if before is None:
        return
    try:
        prognosis.restore(name, before)
    except SnapshotMismatch:
        return  # Another layout: this device's features are learnt anew under the new version.


def _latest(before: dict[str, Any], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the parts a birth tells of, as late as known: an agent need not know of a repair."""
    known = {part["instance"]: part.get("installed_at_ms") for part in before["components"]}
    return [
        part | {"installed_at_ms": _later(part.get("installed_at_ms"), known.get(part["instance"]))}
        for part in told["components"]
    ]


def _refitted(told: dict[str, Any], component: str, ts_ms: int) -> dict[str, Any]:
    """Give an introduction with the age that a replaced part has now."""
    fitted = {"components": [{"instance": component, "installed_at_ms": ts_ms}]}
    return told | {"components": _latest(fitted, told)}


def _later(one_ms: int | None, other_ms: int | None) -> int | None:
    return max((ms for ms in (one_ms, other_ms) if ms is not None), default=None)


def _runs(entries: Iterable[Entry]) -> Iterable[tuple[list[Batch], Entry | None]]:
    """Cut entries at each that changes what later ones mean."""
    run: list[Batch] = []
    for entry in entries:
        if isinstance(entry, Batch):
            run.append(entry)
        else:
            yield run, entry
            run = []
    yield run, None
