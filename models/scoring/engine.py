"""The scoring engine: entries of the input log in, outputs out; pure, and exact under replay.

What a device's state becomes depends on that device's entries and their order alone, however they
were cut into batches and whichever other devices share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from foremend.values import PART_REPLACED
from models.features.state import SnapshotMismatch
from models.scoring.entries import Adoption, Batch, FrameRows, Introduction, Outputs
from models.scoring.lane import Lane, LaneState
from models.scoring.prognosis import Prognosis, PrognosisState

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
    """Scores every device of the partitions whose entries it is given."""

    models: Models
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
        lane.seat(name)
        known = self._devices.get(name)
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
        if version is None or (device.prognosis and device.prognosis.version == version):
            return
        before = None if device.prognosis is None else device.prognosis.snapshot(name)
        device.prognosis = self._prognosis(version)
        device.prognosis.seat(name)
        device.prognosis.installed(name, device.introduction["components"])
        if before is not None:
            _carry_over(device.prognosis, name, before)

    def _lane(self, channels: list[dict[str, Any]]) -> Lane:
        key = msgspec.json.encode(channels).decode()
        if key not in self._lanes:
            self._lanes[key] = Lane.of_channels(channels)
        return self._lanes[key]

    def _prognosis(self, version: str) -> Prognosis:
        if version not in self._prognoses:
            self._prognoses[version] = Prognosis(version, self.models.failure_model(version))
        return self._prognoses[version]

    def _score(self, batches: Sequence[Batch], out: Outputs) -> None:
        """Score a run of batches: frames of all devices together, up to each device's next event.

        Events are rare, so that turns are few and each is one vectorised call a lane.
        """
        for frames, events in _turns(batches):
            for rows in frames:
                for lane, chosen in self._by_lane(rows):
                    self._score_lane(lane, chosen, out)
            for event in events:
                self._happen(event, out)

    def _score_lane(self, lane: Lane, rows: FrameRows, out: Outputs) -> None:
        score = lane.score(rows, out)
        following = [self._devices[int(d)].prognosis for d in rows.device]
        for prognosis in dict.fromkeys(p for p in following if p is not None):
            mine = np.array([p is prognosis for p in following])
            prognosis.frames(_chosen(rows, mine), lane.channels, score[mine], out)

    def _by_lane(self, rows: FrameRows) -> Iterable[tuple[Lane, FrameRows]]:
        lanes = [self._devices[int(d)].lane for d in rows.device]
        for lane in {id(lane): lane for lane in lanes}.values():
            mine = np.array([one is lane for one in lanes])
            yield lane, rows if mine.all() else _chosen(rows, mine)

    def _happen(self, event: EventRow, out: Outputs) -> None:
        device = self._devices[event.device]
        if event.code == PART_REPLACED and event.component is not None:
            device.lane.replaced(event.device, event.component, event.ts_ms)
        if device.prognosis is not None:
            device.prognosis.event(event, out)


def _carry_over(prognosis: Prognosis, name: int, before: PrognosisState) -> None:
    try:
        prognosis.restore(name, before)
    except SnapshotMismatch:
        return  # Another layout: this device's features are learnt anew under the new version.


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


def _turns(
    batches: Sequence[Batch],
) -> Iterable[tuple[list[FrameRows], list[EventRow]]]:
    """Give frames and events in turns such that each device's own order is kept."""
    events = [(b, e) for b, batch in enumerate(batches) for e in batch.events]
    by_device = {
        device: sorted((b, e.rank) for b, e in mine)
        for device, mine in groupby(
            sorted(events, key=lambda one: one[1].device), key=lambda one: one[1].device
        )
    }
    turns = 1 + max((len(marks) for marks in by_device.values()), default=0)
    placed = [
        (_turn_of_frames(b, rows, by_device), rows)
        for b, batch in enumerate(batches)
        for rows in batch.frames
    ]
    in_turn = {(e.device, b, e.rank): by_device[e.device].index((b, e.rank)) for b, e in events}
    for turn in range(turns):
        frames = [_chosen(rows, which == turn) for which, rows in placed if (which == turn).any()]
        now = [e for b, e in events if in_turn[e.device, b, e.rank] == turn]
        yield _joined(frames), sorted(now, key=lambda e: e.device)


def _turn_of_frames(
    batch: int, rows: FrameRows, by_device: dict[int, list[tuple[int, int]]]
) -> Ints:
    """Give, per frame, how many of its device's events come before it."""
    turn = np.zeros(len(rows.device), dtype=np.int64)
    for device, marks in by_device.items():
        mine = rows.device == device
        for event_batch, rank in marks:
            turn[mine] += event_batch < batch or ((event_batch == batch) & (rows.rank[mine] > rank))
    return turn


def _joined(parts: Sequence[FrameRows]) -> list[FrameRows]:
    """Put rows of equal width together, in their order."""
    by_width: dict[int, list[FrameRows]] = {}
    for part in parts:
        by_width.setdefault(part.values.shape[1], []).append(part)
    return [_concatenated(group) for group in by_width.values()]


def _concatenated(group: list[FrameRows]) -> FrameRows:
    if len(group) == 1:
        return group[0]
    return FrameRows(
        **{
            name: np.concatenate([getattr(part, name) for part in group])
            for name in FrameRows.__slots__
        }
    )


def _chosen(rows: FrameRows, mine: NDArray[np.bool_]) -> FrameRows:
    return FrameRows(**{name: getattr(rows, name)[mine] for name in FrameRows.__slots__})
