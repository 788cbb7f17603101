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
from models.scoring.coldstart import ColdStart
from models.scoring.counsel import Counsel, CounselState, needs_library
from models.scoring.entries import Adoption, Batch, FrameRows, Introduction, Outputs
from models.scoring.lane import Lane, LaneState
from models.scoring.prognosis import Prognosis
from models.scoring.roll import Roll
from models.scoring.turns import chosen_rows, turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.failure import FailureModel
    from models.priors import PriorSet
    from models.scoring.entries import Entry, EventRow
    from models.signatures import SignatureModel

    Ints = NDArray[np.int64]


SHARED, SHARED_PRIORS = "partition", "priors"
"""Subjects of a snapshot beside the devices: versions of models and of priors, by cohort."""


class Models(Protocol):
    """Gives verified models by version."""

    def failure_model(self, version: str) -> FailureModel:
        """Load one; raises where its signature or its libraries do not fit."""

    def priors(self, version: str) -> PriorSet:
        """Load a family's priors; likewise."""


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """One device as a snapshot keeps it."""

    introduction: dict[str, Any]
    lane: LaneState
    prognosis: CounselState | None
    version: str | None


@dataclass(slots=True)
class _Device:
    partition: int
    introduction: dict[str, Any]
    lane: Lane
    prognosis: Counsel | None = None


@dataclass(slots=True)
class Engine:
    """Scores every device of the partitions whose entries it is given.

    Without digests no health, drift or second opinion is told; predictions and alarms are the same.
    """

    models: Models
    libraries: Mapping[str, SignatureModel] = field(default_factory=dict)
    """Per family, what is known of failures before any label exists."""
    digests: bool = True
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _counsels: dict[tuple[str | None, str], Counsel | None] = field(default_factory=dict)
    _devices: dict[int, _Device] = field(default_factory=dict)
    _schemas: Roll = field(default_factory=Roll)
    """Per device, the list of channels that its present birth told."""
    _seated: Roll = field(default_factory=Roll)
    """Per device, its lane's place in `_lanes`."""
    _versions: dict[tuple[int, str], str] = field(default_factory=dict)
    """Per partition and cohort, the model version in force."""
    _priors: dict[tuple[int, str], str] = field(default_factory=dict)
    """Likewise the version of its priors."""

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

    @property
    def lanes(self) -> Sequence[Lane]:
        """The lists of channels that have been told, each with its scorer."""
        return tuple(self._lanes.values())

    def tenant_and_timeline(self, device: int) -> tuple[str, str]:
        """Say whose a device is and on which timeline it lives."""
        told = self._devices[device].introduction
        return told["tenant"], told["timeline"]

    def snapshot(self, partition: int) -> dict[str, bytes]:
        """Give the state of one partition: its devices by id, and what they share."""
        states = {SHARED: _of_partition(self._versions, partition)}
        if any(p == partition for p, _ in self._priors):
            states[SHARED_PRIORS] = _of_partition(self._priors, partition)
        for name, device in self._devices.items():
            if device.partition == partition:
                states[str(name)] = msgspec.msgpack.encode(self._state_of(name, device))
        return states

    def restore(self, partition: int, states: dict[str, bytes]) -> None:
        """Put the state of one partition back, in a fresh engine."""
        for subject, kept in ((SHARED, self._versions), (SHARED_PRIORS, self._priors)):
            told = msgspec.msgpack.decode(states.get(subject, b"\x80"), type=dict[str, str])
            kept |= {(partition, cohort): version for cohort, version in told.items()}
        for subject in sorted(states.keys() - {SHARED, SHARED_PRIORS}, key=int):
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
        self._schemas.put(name, told["schema_id"])
        self._seated.put(name, list(self._lanes.values()).index(lane))
        device = _Device(entry.partition, told, lane, known.prognosis if known else None)
        self._devices[name] = device
        lane.adopt(name, self._priors_of(device))
        self._follow(name, device)
        if device.prognosis is not None:
            device.prognosis.installed(name, told)

    def _adopt(self, entry: Adoption) -> None:
        known = {"model": self._versions, "prior": self._priors}.get(entry.kind)
        if known is None:
            return
        known[entry.partition, entry.cohort] = entry.version
        for name, device in self._devices.items():
            if (device.partition, device.introduction["family"]) == (entry.partition, entry.cohort):
                self._follow(name, device)
                device.lane.adopt(name, self._priors_of(device))

    def _priors_of(self, device: _Device) -> PriorSet | None:
        version = self._priors.get((device.partition, device.introduction["family"]))
        return None if version is None else self.models.priors(version)

    def _follow(self, name: int, device: _Device) -> None:
        """Move a device to the version in force; it takes along what the new layout can read."""
        family = device.introduction["family"]
        version = self._versions.get((device.partition, family))
        last, device.prognosis = device.prognosis, self._counsel(version, family)
        if device.prognosis is last:
            return
        before = None if last is None else last.snapshot(name)
        if last is not None:
            last.vacate(name)
        if device.prognosis is not None:
            device.prognosis.seat(name, device.introduction)
            if before is not None:
                device.prognosis.carry_over(name, before)

    def _lane(self, channels: list[dict[str, Any]]) -> Lane:
        key = msgspec.json.encode(channels).decode()
        if key not in self._lanes:
            self._lanes[key] = Lane.of_channels(channels, digested=self.digests)
        return self._lanes[key]

    def _counsel(self, version: str | None, family: str) -> Counsel | None:
        """Give those who have a say in devices of a family under a version; None if nobody has."""
        key = (version, family)
        if key not in self._counsels:
            learnt = None
            if version is not None:
                learnt = Prognosis(version, self.models.failure_model(version))
            library = self.libraries.get(family)
            if library is not None and learnt is not None:
                library = library if needs_library(learnt, library.spec.components) else None
            cold = None if library is None else ColdStart(library)
            heard = learnt is not None or cold is not None
            self._counsels[key] = Counsel(learnt, cold) if heard else None
        return self._counsels[key]

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
        return chosen_rows(rows, rows.schema == self._schemas.at(rows.device))

    def _score_lane(self, lane: Lane, rows: FrameRows, out: Outputs) -> None:
        score = lane.score(rows, out)
        present, whose = np.unique(rows.device, return_inverse=True)
        following = [self._devices[d].prognosis for d in present.tolist()]
        for prognosis in dict.fromkeys(p for p in following if p is not None):
            mine = np.array([p is prognosis for p in following])[whose]
            prognosis.frames(chosen_rows(rows, mine), lane.channels, score[mine], out)

    def _by_lane(self, rows: FrameRows) -> Iterable[tuple[Lane, FrameRows]]:
        which, lanes = self._seated.at(rows.device), list(self._lanes.values())
        for number in dict.fromkeys(which.tolist()):
            yield lanes[number], chosen_rows(rows, which == number)

    def _happen(self, event: EventRow, out: Outputs) -> None:
        device = self._devices[event.device]
        if event.code == PART_REPLACED and event.component is not None:
            device.lane.replaced(event.device, event.component, event.ts_ms)
            told = _refitted(device.introduction, event.component, event.ts_ms)
            device.introduction = told
        if device.prognosis is not None:
            device.prognosis.event(event, out)


def _of_partition(kept: dict[tuple[int, str], str], partition: int) -> bytes:
    mine = {cohort: version for (p, cohort), version in kept.items() if p == partition}
    return msgspec.msgpack.encode(mine, order="sorted")


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
