"""The outbox on disk against a small reference, over random lives.

Its actions: crashes in mid-transaction, a disk that is full and has room again, a file that is
damaged, a clock that moves, and starts of the agent before the clock can be trusted.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.messages import Draft, Key, Rank, Settlement
from edge_agent.outbox.ballast import MemoryReserve
from edge_agent.outbox.eviction import KEEP, Bounds
from edge_agent.outbox.heldtime import MachineStart, MachineTime
from edge_agent.outbox.sqlite_file import OutboxCorrupt, OutboxUnavailable
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.store import Append
from foremend import values, wire
from foremend.clock import ManualClock
from foremend.wire import Up

DEVICES = ("d1", "d2")
BOUNDS = Bounds(max_bytes=20_000, max_age_ms=60_000)
device = st.sampled_from(DEVICES)
sizes = st.lists(st.integers(40, 3000), min_size=1, max_size=8)


class Row(NamedTuple):
    """A message as it lies in the file."""

    rank: int
    last_ms: int
    held: bool
    payload: bytes

    @property
    def is_gap(self) -> bool:
        return self.rank == Rank.GAP


@dataclass
class Reference:
    """What a device's outbox should hold: what was appended, less what was settled or lost."""

    kept: dict[Key, Row] = field(default_factory=dict)
    boots: dict[int, str] = field(default_factory=dict)
    undated: set[int] = field(default_factory=set)
    next_seq: int = 0

    def add(self, rows: dict[Key, Row]) -> None:
        self.kept |= rows
        self.next_seq += len(rows)

    def lose(self, boot: str, first: int, last: int) -> dict[Key, Row]:
        inside = [k for k in self.kept if self.boots[k.boot_no] == boot and first <= k.seq <= last]
        return {key: self.kept.pop(key) for key in inside}

    def sendable(self) -> list[Key]:
        return sorted(key for key in self.kept if key.boot_no not in self.undated)


def draft(rank: Rank, size: int, ts_ms: int, *, held: bool) -> Draft:
    def encode(boot: str, seq: int) -> bytes:
        return payload_of(boot, seq, size)

    return Draft(
        kind=Up.DATA, rank=rank, encode=encode, frames=1, first_ms=ts_ms, last_ms=ts_ms, held=held
    )


def payload_of(boot: str, seq: int, size: int) -> bytes:
    return f"{boot} {seq} ".encode().ljust(size, b".")


class OutboxLife(RuleBasedStateMachine):
    @initialize()
    def open_first(self) -> None:
        # Durability is not what is tested here, so memory will do where there is such a place.
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-law-", dir=place))
        self.numbers = itertools.count(1)
        self.clock = ManualClock(1_000_000)
        self.reserve = MemoryReserve()
        self.machine, self.trusted = "start1", True
        self.told = dict.fromkeys(DEVICES, 0)
        self.seen = dict.fromkeys(DEVICES, 0)
        self.reference = {name: Reference() for name in DEVICES}
        self.path = self.folder / "0.db"
        self.store = self._open()
        self._begin_all()

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(device=device, sizes=sizes, rank=st.sampled_from([Rank.FRAMES, Rank.EVENT]))
    def append(self, device: str, sizes: list[int], rank: Rank) -> None:
        reference = self.reference[device]
        held = max(reference.boots) in reference.undated
        drafts = tuple(draft(rank, size, self.clock(), held=held) for size in sizes)
        try:
            changes = self.store.commit([Append(device=device, bounds=BOUNDS, drafts=drafts)])
        except OutboxUnavailable:
            assert not self.reserve.room
            self._reconcile(device, [])
        else:
            self.told[device] += changes[device].gaps
            self._reconcile(device, [(rank, size, held) for size in sizes])
            self._is_within_bounds(device)
        self._reconcile_others(device)

    @rule(device=device, choice=st.integers(0, 5), upto=st.integers(-1, 60))
    def acknowledge(self, device: str, choice: int, upto: int) -> None:
        reference = self.reference[device]
        boot = list(reference.boots.values())[-1 - choice % len(reference.boots)]

        self._settle(device, Settlement(boot=boot, spans=((0, upto),)))
        reference.lose(boot, 0, upto)

        self._reconcile(device, [])

    @rule(device=device, choice=st.integers(0, 50))
    def refuse(self, device: str, choice: int) -> None:
        reference = self.reference[device]
        if not (sendable := reference.sendable()):
            return
        key = sendable[choice % len(sendable)]

        with suppress(OutboxUnavailable):
            self._settle(device, Settlement(refused=((key, "invalid"),)))
            if reference.kept[key].is_gap:
                del reference.kept[key]

        self._reconcile(device, [])
        self._reconcile_others(device)

    @rule(torn=st.booleans(), trusted=st.booleans(), restarted=st.booleans())
    def crash(self, torn: bool, trusted: bool, restarted: bool) -> None:
        """Go on from the files as they lie on the disk, the process gone in mid-transaction."""
        self._settle_debts()
        if torn:
            self.store._file.run("begin")
            self.store._file.run("remove", {"boot_no": 1, "seq": 0})
        new = self.folder / f"{next(self.numbers)}.db"
        for file in self.folder.glob(f"{self.path.name}*"):
            shutil.copy(file, new.with_name(file.name.replace(self.path.name, new.name)))
        self.store.close()
        self.path, self.trusted = new, trusted
        self.machine = f"start{next(self.numbers)}" if restarted else self.machine
        self.store = self._open()
        self._begin_all()

    @rule()
    def fill_the_disk(self) -> None:
        self.reserve.room = self.reserve.held = False
        self.store._file.grow(0)

    @rule()
    def make_room(self) -> None:
        self.reserve.room = True
        if not self.store._tight:
            self.store._file.grow(None)

    @rule()
    def damage(self) -> None:
        """Let the file be found damaged: all that it held is told as lost, and numbers go on."""
        self.make_room()
        self._settle_debts()
        self.store._begin_afresh(OutboxCorrupt())
        for name in DEVICES:
            self._reconcile(name, [])
            assert all(row.is_gap for row in self.reference[name].kept.values())

    @rule(ms=st.integers(1, 90_000))
    def let_time_pass(self, ms: int) -> None:
        self.clock.advance(ms)

    @precondition(lambda self: not self.trusted)
    @rule()
    def trust_the_clock(self) -> None:
        self.make_room()
        self.trusted = True
        for name, reference in self.reference.items():
            here = MachineStart(machine=self.machine, utc_ms=0)
            while self.store.date(name, here).messages:
                pass
            reference.undated.clear()
            rows = self._rows(name)
            assert {k: r.payload for k, r in rows.items()} == {
                k: r.payload for k, r in reference.kept.items()
            }
            assert not any(row.held for row in rows.values())
            reference.kept = rows

    @invariant()
    def sends_what_the_reference_would(self) -> None:
        for name, reference in self.reference.items():
            pending = self.store.pending(name, None, 1000)
            assert [m.key for m in pending] == reference.sendable()
            assert [m.payload for m in pending] == [reference.kept[m.key].payload for m in pending]
            assert [m.boot for m in pending] == [reference.boots[m.key.boot_no] for m in pending]
            assert self.store.some(name, reference.sendable()) == pending

    @invariant()
    def knows_its_depth_and_tells_of_each_gap_once(self) -> None:
        for name, reference in self.reference.items():
            depth = self._settle(name, Settlement())
            assert depth.messages == len(reference.kept)
            assert depth.bytes == sum(len(row.payload) for row in reference.kept.values())
            assert self.told[name] == self.seen[name]

    @invariant()
    def keeps_the_birth_of_every_boot_with_messages(self) -> None:
        for name, reference in self.reference.items():
            wanted = {key.boot_no for key in reference.kept} | {max(reference.boots)}
            births = self.store.births(name)
            assert set(births) == {reference.boots[n] for n in wanted}

    def _open(self) -> SqliteStore:
        return SqliteStore.open(self.path, self.clock, self.reserve)

    def _begin_all(self) -> None:
        for name, reference in self.reference.items():
            boot = f"boot{next(self.numbers)}"
            begun = None
            if not self.trusted:
                begun = MachineTime(machine=self.machine, mono_ms=self.clock())
            try:
                self.told[name] += self.store.begin(name, boot, birth_of(boot), begun).gaps
            except OutboxUnavailable:
                assert not self.reserve.room
                self.reserve.room = True
                self.told[name] += self.store.begin(name, boot, birth_of(boot), begun).gaps
            number = self.store.newest(name).boot_no
            reference.boots[number], reference.next_seq = boot, 0
            if begun is not None:
                reference.undated.add(number)

    def _settle(self, device: str, settlement: Settlement) -> object:
        change = self.store.settle(device, settlement)
        self.told[device] += change.gaps
        return change.depth

    def _settle_debts(self) -> None:
        for name in DEVICES:
            self._settle(name, Settlement())

    def _rows(self, device: str) -> dict[Key, Row]:
        found = self.store._file._connection.execute(
            "SELECT no, seq, rank, last_ms, held, payload FROM message JOIN boot ON no = boot_no "
            "WHERE device = ?",
            (device,),
        )
        return {Key(no, seq): Row(*row) for no, seq, *row in found}

    def _reconcile_others(self, device: str) -> None:
        """A full disk may have cost any device something."""
        for name in DEVICES:
            if name != device:
                self._reconcile(name, [])

    def _reconcile(self, device: str, drafts: list[tuple[Rank, int, bool]]) -> None:
        """Everything is there, or named by exactly one new gap event; numbers have no holes."""
        reference, rows = self.reference[device], self._rows(device)
        number = max(reference.boots)
        first, last = reference.next_seq, self.store.newest(device).seq
        new = [Key(number, seq) for seq in range(first, last + 1)]
        gaps = [key for key in new if key in rows and rows[key].is_gap]
        places = [key for key in new if key not in gaps]
        assert len(places) == len(drafts)
        assert places == places[:1] + [Key(k.boot_no, k.seq + 1) for k in places[:-1]]
        before = dict(reference.kept)
        boot = reference.boots[number]
        reference.add({key: rows[key] for key in gaps})
        reference.add(
            {
                key: Row(rank, self.clock(), held, payload_of(boot, key.seq, size))
                for key, (rank, size, held) in zip(places, drafts, strict=True)
            }
        )
        by_disk: dict[Key, Row] = {}
        by_bound: dict[Key, Row] = {}
        held = 0
        for key in gaps:
            reason, gone = self._account_for(device, rows[key].payload)
            by_disk |= gone if reason == "disk_full" else {}
            if reason == "outbox_full":
                by_bound |= gone
                held = sum(len(row.payload) for row in reference.kept.values())
        if by_bound:
            # Ranges are told by their numbers, not in the order in which they went: the dearest
            # went last, and without it there would still have been too much.
            _, last = dearest(by_bound)
            assert held + len(by_bound[last].payload) > BOUNDS.max_bytes * KEEP
        left = {k: row for k, row in before.items() if k in reference.kept and not row.is_gap}
        assert not by_disk or not left or dearest(by_disk) < cheapest(left)
        self.seen[device] += len(gaps)
        assert rows == reference.kept

    def _account_for(self, device: str, payload: bytes) -> tuple[str, dict[Key, Row]]:
        reference = self.reference[device]
        event = wire.decode_up(Up.EVENT, payload)
        assert isinstance(event, wire.Event)
        assert event.code == values.GAP
        named = event.details
        gone = reference.lose(named["boot"], named["first"], named["last"])
        reason = named["reason"]
        assert gone or reason == "outbox_corrupt"
        assert reason in {"outbox_corrupt", "refused"} or not any(r.is_gap for r in gone.values())
        if reason == "outbox_age":
            oldest_ms = self.clock() - BOUNDS.max_age_ms
            assert all(row.last_ms < oldest_ms and not row.held for row in gone.values())
        elif reason == "disk_full":
            assert not self.reserve.room
        return reason, gone

    def _is_within_bounds(self, device: str) -> None:
        kept = self.reference[device].kept
        others = {key: row for key, row in sorted(kept.items()) if not row.is_gap}
        if others:
            # What tells of a loss is not itself given up, nor counted against others at once.
            assert sum(len(row.payload) for row in others.values()) <= BOUNDS.max_bytes
            oldest = next(iter(others.values()))
            assert oldest.held or oldest.last_ms >= self.clock() - BOUNDS.max_age_ms
        ranks = {row.rank for row in others.values()}
        assert ranks <= {Rank.FRAMES, Rank.EVENT}


def dearest(rows: dict[Key, Row]) -> tuple[int, Key]:
    return max((row.rank, key) for key, row in rows.items())


def cheapest(rows: dict[Key, Row]) -> tuple[int, Key]:
    return min((row.rank, key) for key, row in rows.items())


def birth_of(boot: str) -> bytes:
    schema = wire.schema_hash(())
    birth = wire.Birth(
        boot=boot, boot_ms=0, clock="held", schema=schema, channels=(), family="f", model="m"
    )
    return wire.encode(birth)


OutboxLife.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestOutboxLife = OutboxLife.TestCase
