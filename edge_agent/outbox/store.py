"""What the outbox asks of its storage, and the in-memory fake that answers like the real one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from edge_agent.messages import Change, Depth, Draft, Key, Rank, Settlement, Stored, gap
from edge_agent.outbox import eviction, heldtime
from edge_agent.outbox.eviction import Bounds, Candidate
from edge_agent.outbox.heldtime import HeldBoot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edge_agent.outbox.heldtime import Dating, MachineStart, MachineTime
    from foremend.clock import NowMs


LOST: Final = "lost"
"""The note that earlier notes were lost with a damaged file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Drafts and notes of one device, kept in this order; with notes, all or none."""

    device: str
    bounds: Bounds
    drafts: tuple[Draft, ...]
    notes: Mapping[str, bytes | None] = field(default_factory=dict)
    """What the agent must remember, by name; None forgets."""


class Store(Protocol):
    """Keeps messages of several devices; each call is one transaction and blocks until it holds."""

    def begin(
        self, device: str, boot: str, birth: bytes, begun: MachineTime | None = None
    ) -> Change:
        """Open a boot of a device, from which on its drafts are numbered from 0.

        `begun` is given where the clock cannot be trusted: nothing is sent before it has a `date`.
        """

    def commit(self, appends: Sequence[Append]) -> Mapping[str, Change]:
        """Keep drafts durably, numbered and encoded; evict what exceeds a device's bounds."""

    def notes(self, device: str) -> dict[str, bytes]:
        """Give what was noted and not forgotten; `LOST` is among it after a damaged file."""

    def pending(self, device: str, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of their keys, past `after`; none of an undated boot."""

    def some(self, device: str, keys: Iterable[Key]) -> list[Stored]:
        """Give those of these messages that are still kept."""

    def newest(self, device: str) -> Key:
        """Give the key of the message that was numbered last."""

    def settle(self, device: str, settlement: Settlement) -> Change:
        """Delete what is committed; move what is refused to the dead letters, leaving a gap."""

    def date(self, device: str, here: MachineStart) -> Change:
        """Date some held messages; the change says how many, 0 where none is left."""

    def births(self, device: str) -> dict[str, bytes]:
        """Give the birth of each boot that still has messages and of the present one, in order."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(slots=True, kw_only=True)
class _Kept:
    key: Key
    boot: str
    draft: Draft
    payload: bytes


@dataclass(slots=True, kw_only=True)
class _Device:
    boots: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    undated: dict[str, MachineTime] = field(default_factory=dict)
    present: str = ""
    next_seq: int = 0
    kept: dict[Key, _Kept] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)

    @property
    def depth(self) -> Depth:
        return Depth(
            messages=len(self.kept), bytes=sum(len(one.payload) for one in self.kept.values())
        )


class MemoryStore:
    """A `Store` that forgets when the process ends; for tests, and for hosts without a disk."""

    def __init__(self, now_ms: NowMs = int) -> None:
        self.dead_letters: list[tuple[str, Stored, str]] = []
        """Device, message and reason of what was refused."""
        self._now_ms = now_ms
        self._devices: dict[str, _Device] = {}
        self._last_boot_no = 0

    def begin(
        self, device: str, boot: str, birth: bytes, begun: MachineTime | None = None
    ) -> Change:
        """Open a boot of a device, from which on its drafts are numbered from 0."""
        state = self._devices.setdefault(device, _Device())
        self._last_boot_no += 1
        state.boots[boot] = (self._last_boot_no, birth)
        state.present, state.next_seq = boot, 0
        if begun is not None:
            state.undated[boot] = begun
        return Change(depth=state.depth)

    def commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        """Keep drafts, numbered and encoded; evict what exceeds a device's bounds."""
        changes: dict[str, Change] = {}
        for append in appends:
            before = changes.get(append.device, Change(depth=Depth()))
            changes[append.device] = self._keep(append, before)
        return changes

    def notes(self, device: str) -> dict[str, bytes]:
        """Give what was noted and not forgotten."""
        return dict(self._devices.setdefault(device, _Device()).notes)

    def pending(self, device: str, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of their keys, past `after`; none of an undated boot."""
        state = self._devices[device]
        kept = [one for _, one in sorted(state.kept.items()) if one.boot not in state.undated]
        return [_stored(one) for one in kept if after is None or one.key > after][:limit]

    def some(self, device: str, keys: Iterable[Key]) -> list[Stored]:
        """Give those of these messages that are still kept."""
        kept = self._devices[device].kept
        return [_stored(kept[key]) for key in sorted(keys) if key in kept]

    def newest(self, device: str) -> Key:
        """Give the key of the message that was numbered last."""
        state = self._devices[device]
        return Key(state.boots[state.present][0], state.next_seq - 1)

    def settle(self, device: str, settlement: Settlement) -> Change:
        """Delete what is committed; move what is refused to the dead letters, leaving a gap."""
        state = self._devices[device]
        done = [key for key, one in state.kept.items() if _covers(settlement, one)]
        frames = sum(state.kept.pop(key).draft.frames for key in done)
        refused = [self._bury(device, key, reason) for key, reason in settlement.refused]
        return Change(
            depth=state.depth,
            messages=len(done),
            frames=frames,
            gaps=sum(was_known and rank is not Rank.GAP for was_known, rank in refused),
            refused=sum(was_known for was_known, _ in refused),
        )

    def date(self, device: str, here: MachineStart) -> Change:
        """Date some held messages; the change says how many, 0 where none is left."""
        state = self._devices[device]
        held = [_held_boot(state, boot) for boot in state.undated]
        found = heldtime.datings(held, here)
        for boot in held:
            state.boots[boot.boot] = (boot.no, heldtime.introduce(boot, found[boot.no]))
        dated = [one for one in state.kept.values() if one.draft.held]
        for one in dated:
            _date(one, found[one.key.boot_no])
        state.undated.clear()
        return Change(depth=state.depth, messages=len(dated))

    def births(self, device: str) -> dict[str, bytes]:
        """Give the birth of each boot that still has messages and of the present one, in order."""
        state = self._devices[device]
        waiting = {one.boot for one in state.kept.values()} | {state.present}
        return {boot: birth for boot, (_, birth) in state.boots.items() if boot in waiting}

    def close(self) -> None:
        """Let go of nothing: a fake can be opened again."""

    def _keep(self, append: Append, before: Change) -> Change:
        state = self._devices[append.device]
        for draft in append.drafts:
            _number(state, draft)
        for name, value in append.notes.items():
            _remember(state, name, value)
        gaps, evicted_frames = self._evict(state, append.bounds)
        return replace(
            before,
            depth=state.depth,
            messages=before.messages + len(append.drafts),
            frames=before.frames + sum(draft.frames for draft in append.drafts),
            gaps=before.gaps + gaps,
            evicted_frames=before.evicted_frames + evicted_frames,
        )

    def _evict(self, state: _Device, bounds: Bounds) -> tuple[int, int]:
        oldest = sorted(state.kept.values(), key=lambda one: one.key)
        old = eviction.too_old(_candidates(oldest), self._now_ms(), bounds)
        first = self._give_up(state, list(old), eviction.OLD)
        to_free = eviction.excess(state.depth.bytes, bounds)
        cheapest = sorted(state.kept.values(), key=lambda one: (one.draft.rank, one.key))
        chosen = eviction.choose(_candidates(cheapest), to_free)
        then = self._give_up(state, list(chosen), eviction.FULL)
        return first[0] + then[0], first[1] + then[1]

    def _give_up(
        self, state: _Device, evicted: Sequence[Candidate], reason: str
    ) -> tuple[int, int]:
        for candidate in evicted:
            del state.kept[candidate.key]
        lost = eviction.losses(evicted)
        for one in lost:
            _number(state, gap(one, reason, self._now_ms()))
        return len(lost), sum(one.frames for one in evicted)

    def _bury(self, device: str, key: Key, reason: str) -> tuple[bool, Rank]:
        state = self._devices[device]
        one = state.kept.get(key)
        if one is None:
            return False, Rank.GAP
        self.dead_letters.append((device, _stored(one), reason))
        if one.draft.rank is Rank.GAP:
            del state.kept[key]
        else:
            self._give_up(state, [_candidate(one)], eviction.REFUSED)
        return True, one.draft.rank


def _number(state: _Device, draft: Draft) -> None:
    key = Key(state.boots[state.present][0], state.next_seq)
    payload = draft.encode(state.present, key.seq)
    state.kept[key] = _Kept(key=key, boot=state.present, draft=draft, payload=payload)
    state.next_seq += 1


def _remember(state: _Device, name: str, value: bytes | None) -> None:
    if value is None:
        state.notes.pop(name, None)
    else:
        state.notes[name] = value


def _date(one: _Kept, dating: Dating) -> None:
    one.payload = heldtime.date(one.draft.kind, one.payload, dating)
    one.draft = replace(
        one.draft,
        held=False,
        first_ms=one.draft.first_ms + dating.offset_ms,
        last_ms=one.draft.last_ms + dating.offset_ms,
    )


def _stored(one: _Kept) -> Stored:
    return Stored(key=one.key, boot=one.boot, kind=one.draft.kind, payload=one.payload)


def _held_boot(state: _Device, boot: str) -> HeldBoot:
    no, birth = state.boots[boot]
    begun = state.undated[boot]
    held = [one.draft.last_ms for one in state.kept.values() if one.boot == boot and one.draft.held]
    last_ms = max(held, default=begun.mono_ms)
    return HeldBoot(no=no, boot=boot, birth=birth, begun=begun, last_ms=last_ms)


def _covers(settlement: Settlement, one: _Kept) -> bool:
    return one.boot == settlement.boot and any(
        first <= one.key.seq <= last for first, last in settlement.spans
    )


def _candidates(kept: Iterable[_Kept]) -> Iterator[Candidate]:
    return (_candidate(one) for one in kept if one.draft.rank is not Rank.GAP)


def _candidate(one: _Kept) -> Candidate:
    return Candidate(
        key=one.key,
        boot=one.boot,
        frames=one.draft.frames,
        first_ms=one.draft.first_ms,
        last_ms=one.draft.last_ms,
        size=len(one.payload),
        held=one.draft.held,
    )
