"""The outbox on disk: SQLite, WAL, each commit of new messages on the disk before it returns.

A full disk: the ballast is let go and the file kept from growing, so that there is room for the
log; what is cheapest is given up, and its pages are written again. A damaged file, at the start or
later: it is moved aside and a new one begun, in which numbers go on and the loss is told.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from edge_agent.messages import Change, Depth, Key, Lost, unknown_gap
from edge_agent.outbox import eviction, heldtime, sqlite_work
from edge_agent.outbox.ballast import MemoryReserve
from edge_agent.outbox.ledger import Boot, Ledger, Work
from edge_agent.outbox.sqlite_file import (
    OutboxCorrupt,
    OutboxFull,
    OutboxUnavailable,
    SqliteFile,
    move_aside,
    open_file,
)
from edge_agent.outbox.store import LOST
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from edge_agent.messages import Settlement, Stored
    from edge_agent.outbox.ballast import Reserve
    from edge_agent.outbox.heldtime import MachineStart, MachineTime
    from edge_agent.outbox.store import Append
    from foremend.clock import NowMs

LOG: Final = logging.getLogger(__name__)
DATED_AT_ONCE: Final = 256
"""Held messages that one transaction dates."""
T = TypeVar("T")


class SqliteStore:
    """A `Store` in one file; for one thread at a time, and for one process.

    >>> store = SqliteStore.open(Path("outbox.sqlite3"), wall_ms)
    """

    def __init__(self, path: Path, now_ms: NowMs, reserve: Reserve) -> None:
        self.set_aside: Path | None = None
        """Where a damaged predecessor was moved last."""
        self._path = path
        self._now_ms = now_ms
        self._reserve = reserve
        self._ledgers: dict[str, Ledger] = {}
        self._owed: dict[str, dict[str, int]] = {}
        """What was given up of each device, and no change has said so yet."""
        self._told: set[str] = set()
        """Devices to which the loss of a damaged file was told."""
        self._file = self._open()
        self._tight = not reserve.restore()
        self._bound_growth()

    @classmethod
    def open(cls, path: Path, now_ms: NowMs, reserve: Reserve | None = None) -> SqliteStore:
        """Open or create the file; a damaged one is moved aside, next to it.

        Raises:
            OutboxInUse: another process has it.
            OutboxUnavailable: the disk is full or cannot be read.
            ConfigurationError: a newer agent made it.
        """
        return cls(path, now_ms, reserve or MemoryReserve())

    def begin(
        self, device: str, boot: str, birth: bytes, begun: MachineTime | None = None
    ) -> Change:
        """Open a boot of a device, from which on its drafts are numbered from 0."""
        return self._enduring(lambda: self._begin(device, boot, birth, begun))

    def commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        """Keep drafts durably, numbered and encoded; evict what exceeds a device's bounds."""
        return self._enduring(
            lambda: self._commit(appends),
            lambda: sum(len(draft.encode("", 0)) for one in appends for draft in one.drafts),
        )

    def notes(self, device: str) -> dict[str, bytes]:
        """Give what was noted and not forgotten; `LOST` is among it after a damaged file."""
        return self._enduring(lambda: dict(self._file.all("notes", {"device": device})))

    def pending(self, device: str, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of their keys, past `after`; none of an undated boot."""
        ledger, start = self._ledgers[device], after or Key(-1, -1)
        return self._enduring(lambda: sqlite_work.pending(self._file, ledger, start, limit))

    def some(self, device: str, keys: Iterable[Key]) -> list[Stored]:
        """Give those of these messages that are still kept."""
        ledger, wanted = self._ledgers[device], sorted(keys)
        return self._enduring(lambda: sqlite_work.some(self._file, ledger, wanted))

    def newest(self, device: str) -> Key:
        """Give the key of the message that was numbered last."""
        return self._ledgers[device].newest

    def settle(self, device: str, settlement: Settlement) -> Change:
        """Delete what is committed; move what is refused to the dead letters, leaving a gap."""
        return self._enduring(lambda: self._settle(device, settlement))

    def date(self, device: str, here: MachineStart) -> Change:
        """Date some held messages; the change says how many, 0 where none is left."""
        return self._enduring(lambda: self._date(device, here))

    def births(self, device: str) -> dict[str, bytes]:
        """Give the birth of each boot that still has messages and of the present one, in order."""
        row = {"device": device, "present": self._ledgers[device].present.no}
        return self._enduring(lambda: dict(self._file.all("births", row)))

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._file.close()

    def _begin(self, device: str, boot: str, birth: bytes, begun: MachineTime | None) -> Change:
        with self._file.transaction():
            opened = Boot(no=0, boot=boot, next_seq=0)
            number = self._put_boot(None, device, opened, birth, begun)
            boots = sqlite_work.living_boots(self._file, device, number)
            [(messages, size)] = self._file.all("depth", {"device": device})
            holds = frozenset(held.no for held in sqlite_work.held_boots(self._file, device))
            depth = Depth(messages=messages, bytes=size)
            ledger = Ledger(boots=boots, birth=birth, depth=depth, begun=begun, holds=holds)
            work = Work(ledger=ledger)
            if self.set_aside is not None and device not in self._told:
                loss = unknown_gap(self._now_ms(), eviction.SET_ASIDE)
                sqlite_work.keep(self._file, work, [loss])
                work.count(gaps=1)
                sqlite_work.note(self._file, device, {LOST: b""})
        self._told.add(device)
        self._ledgers[device] = work.ledger
        return work.change()

    def _commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        changed: dict[str, Work] = {}
        now_ms = self._now_ms()
        with self._file.transaction():
            for append in appends:
                work = changed.setdefault(append.device, self._work(append.device))
                sqlite_work.keep(self._file, work, append.drafts)
                sqlite_work.note(self._file, append.device, append.notes)
                work.count(messages=len(append.drafts), frames=sum(d.frames for d in append.drafts))
                self._evict(work, append, now_ms)
        return {device: self._done(device, work) for device, work in changed.items()}

    def _evict(self, work: Work, append: Append, now_ms: int) -> None:
        device, bounds = append.device, append.bounds
        sqlite_work.evict_old(self._file, work, device, bounds, now_ms)
        to_free = eviction.excess(work.ledger.depth.bytes, bounds)
        sqlite_work.evict(self._file, work, device, to_free, eviction.FULL, now_ms)

    def _settle(self, device: str, settlement: Settlement) -> Change:
        work = self._work(device)
        # A settlement that a power cut undoes costs one resend, so it need not wait for the disk;
        # a gap is a message, and must.
        with self._file.transaction(durable=bool(settlement.refused)):
            sqlite_work.delete(self._file, work, settlement)
            for key, reason in settlement.refused:
                sqlite_work.bury(self._file, work, device, key, reason, self._now_ms())
            if settlement.boot != work.ledger.present.boot:
                sqlite_work.forget_boots(self._file, work, device)
        return self._done(device, work)

    def _date(self, device: str, here: MachineStart) -> Change:
        work, left = self._work(device), DATED_AT_ONCE
        held = sqlite_work.held_boots(self._file, device)
        datings = heldtime.datings(held, here)
        with self._file.transaction():
            for boot in held:
                left -= sqlite_work.date(self._file, work, boot, datings[boot.no], left)
                if left <= 0:
                    break
                birth = heldtime.introduce(boot, datings[boot.no])
                self._file.run("put_birth", {"no": boot.no, "birth": birth})
                work.release(boot.no, birth)
        work.count(messages=DATED_AT_ONCE - left)
        return self._done(device, work)

    def _work(self, device: str) -> Work:
        return Work(ledger=self._ledgers[device], counted=dict(self._owed.get(device, {})))

    def _done(self, device: str, work: Work) -> Change:
        self._ledgers[device] = work.ledger
        self._owed.pop(device, None)
        return work.change()

    def _enduring(self, do: Callable[[], T], wanted: Callable[[], int] = int) -> T:
        """Do something; see to a full disk or a damaged file, and do it again."""
        self._loosen()
        try:
            return do()
        except OutboxFull:
            self._make_room(wanted())
        except OutboxCorrupt as damage:
            self._begin_afresh(damage)
        return do()

    def _make_room(self, wanted: int) -> None:
        if not self._tight:
            LOG.error("the disk is full; the ballast is let go", extra={"path": str(self._path)})
        self._tight = True
        self._reserve.free()
        self._fold()
        self._bound_growth()
        to_free = eviction.relief(
            sum(ledger.depth.bytes for ledger in self._ledgers.values()),
            self._file.free_bytes + self._reserve.spare(),
            wanted,
        )
        for device in sorted(self._ledgers, key=lambda name: -self._ledgers[name].depth.bytes):
            if to_free > 0:
                to_free -= self._relieve(device, to_free)
        self._fold()

    def _fold(self) -> None:
        """Let what the log has taken of the disk be used again, not added to."""
        with suppress(OutboxUnavailable):
            self._file.all("fold")

    def _relieve(self, device: str, to_free: int) -> int:
        before, work = self._ledgers[device].depth.bytes, self._work(device)
        with self._file.transaction():
            now_ms = self._now_ms()
            sqlite_work.evict(self._file, work, device, to_free, eviction.DISK, now_ms)
        self._ledgers[device], self._owed[device] = work.ledger, work.counted
        return before - work.ledger.depth.bytes

    def _loosen(self) -> None:
        if self._tight and self._reserve.restore():
            LOG.info("there is room on the disk again", extra={"path": str(self._path)})
            self._tight = False
            self._bound_growth()

    def _bound_growth(self) -> None:
        """Keep the file from growing into the room that its log needs on a tight disk."""
        self._file.grow(self._reserve.spare() if self._tight else None, self._reserve.least())

    def _open(self) -> SqliteFile:
        try:
            return open_file(self._path)
        except OutboxCorrupt as damage:
            self._set_aside(damage)
        return open_file(self._path)

    def _begin_afresh(self, damage: OutboxCorrupt) -> None:
        with suppress(ForemendError):
            self._file.close()
        self._set_aside(damage)
        self._file = open_file(self._path)
        self._bound_growth()
        for device, ledger in self._ledgers.items():
            self._restore(device, ledger)

    def _restore(self, device: str, ledger: Ledger) -> None:
        """Go on with a device whose messages are gone: numbers rise further, the loss is told."""
        present = ledger.present
        holds = frozenset({present.no}) if ledger.begun else frozenset()
        fresh = replace(ledger, boots=(present,), depth=Depth(), holds=holds)
        work = Work(ledger=fresh, counted=dict(self._owed.get(device, {})))
        lost = [
            Lost(boot=boot.boot, span=(0, boot.next_seq - 1))
            for boot in ledger.boots
            if boot.next_seq
        ]
        with self._file.transaction():
            self._put_boot(present.no, device, present, ledger.birth, ledger.begun)
            sqlite_work.note(self._file, device, {LOST: b""})
            sqlite_work.tell_lost(self._file, work, lost, eviction.SET_ASIDE, self._now_ms())
        self._told.add(device)
        self._ledgers[device], self._owed[device] = work.ledger, work.counted

    def _put_boot(
        self, no: int | None, device: str, boot: Boot, birth: bytes, begun: MachineTime | None
    ) -> int:
        row = {"no": no, "device": device, "boot": boot.boot, "next_seq": boot.next_seq}
        machine = {
            "machine": begun.machine if begun else "",
            "mono_ms": begun.mono_ms if begun else 0,
        }
        [(number,)] = self._file.all("put_boot", row | {"birth": birth} | machine)
        return int(number)

    def _set_aside(self, damage: OutboxCorrupt) -> None:
        self.set_aside = move_aside(self._path, self._now_ms())
        LOG.error(
            "the outbox was damaged; a new one is begun",
            extra={"kept": str(self.set_aside), "error": str(damage)},
        )
