"""The outbox on disk: SQLite, WAL, each commit of new messages on the disk before it returns."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_agent import eviction
from edge_agent.eviction import Candidate
from edge_agent.ledger import Ledger, Work
from edge_agent.messages import (
    Change,
    Depth,
    Draft,
    Key,
    Rank,
    Settlement,
    Stored,
    gap,
    unknown_gap,
)
from edge_agent.sqlite_file import OutboxCorrupt, SqliteFile, move_aside, open_file
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from edge_agent.eviction import Bounds
    from edge_agent.store import Append
    from foremend.clock import NowMs

DEAD_LETTERS: Final = 1000
"""Refused messages kept per device, the newest."""


class SqliteStore:
    """A `Store` in one file; for one thread at a time, and for one process.

    >>> store = SqliteStore.open(Path("outbox.sqlite3"), wall_ms)
    """

    def __init__(self, file: SqliteFile, now_ms: NowMs, set_aside: Path | None) -> None:
        self.set_aside: Final = set_aside
        """Where a damaged predecessor was moved at opening."""
        self._file = file
        self._now_ms = now_ms
        self._ledgers: dict[str, Ledger] = {}

    @classmethod
    def open(cls, path: Path, now_ms: NowMs) -> SqliteStore:
        """Open or create the file; a damaged one is moved aside, next to it.

        Raises:
            OutboxInUse: another process has it.
            OutboxUnavailable: the disk is full or cannot be read.
            ConfigurationError: a newer agent made it.
        """
        try:
            return cls(open_file(path), now_ms, None)
        except OutboxCorrupt:
            set_aside = move_aside(path, now_ms())
        return cls(open_file(path), now_ms, set_aside)

    def begin(self, device: str, boot: str, birth: bytes) -> Change:
        """Open a boot of a device, from which on its drafts are numbered from 0."""
        with self._file.transaction():
            row = {"device": device, "boot": boot, "birth": birth}
            [(number,)] = self._file.all("put_boot", row)
            boots = self._living_boots(device, number)
            [(messages, size)] = self._file.all("depth", {"device": device})
            depth = Depth(messages=messages, bytes=size)
            work = Work(ledger=Ledger(boots=boots, next_seq=0, depth=depth))
            if self.set_aside is not None:
                self._keep(work, [unknown_gap(self._now_ms(), eviction.SET_ASIDE)])
                work.count(gaps=1)
        self._ledgers[device] = work.ledger
        return work.change()

    def commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        """Keep drafts durably, numbered and encoded; evict what exceeds a device's bounds."""
        changed: dict[str, Work] = {}
        with self._file.transaction():
            for append in appends:
                ledger = self._ledgers[append.device]
                work = changed.setdefault(append.device, Work(ledger=ledger))
                self._keep(work, append.drafts)
                work.count(messages=len(append.drafts), frames=sum(d.frames for d in append.drafts))
                self._evict(work, append.device, append.bounds)
        self._ledgers |= {device: work.ledger for device, work in changed.items()}
        return {device: work.change() for device, work in changed.items()}

    def pending(self, device: str, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of their keys, past `after`."""
        start = after or Key(-1, -1)
        found: list[Stored] = []
        for number, boot in self._ledgers[device].boots:
            if number < start.boot_no or len(found) >= limit:
                continue
            past = start.seq if number == start.boot_no else -1
            row = {"boot_no": number, "seq": past, "limit": limit - len(found)}
            found += [
                Stored(key=Key(number, seq), boot=boot, kind=Up(kind), payload=payload)
                for seq, kind, payload in self._file.all("pending", row)
            ]
        return found

    def settle(self, device: str, settlement: Settlement) -> Change:
        """Delete what is committed; move what is refused to the dead letters, leaving a gap."""
        work = Work(ledger=self._ledgers[device])
        # A settlement that a power cut undoes costs one resend, so it need not wait for the disk;
        # a gap is a message, and must.
        with self._file.transaction(durable=bool(settlement.refused)):
            self._delete(work, settlement)
            for key, reason in settlement.refused:
                self._bury(work, device, key, reason)
            if settlement.boot != work.ledger.boot:
                self._forget_boots(work, device)
        self._ledgers[device] = work.ledger
        return work.change()

    def births(self, device: str) -> dict[str, bytes]:
        """Give the birth of each boot that still has messages and of the present one, in order."""
        present = self._ledgers[device].boot_no
        return dict(self._file.all("births", {"device": device, "present": present}))

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._file.close()

    def _keep(self, work: Work, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        rows = [work.number(draft) for draft in drafts]
        self._file.run_many("put_message", rows)
        number = {"boot_no": work.ledger.boot_no, "next_seq": work.ledger.next_seq}
        self._file.run("put_next_seq", number)

    def _evict(self, work: Work, device: str, bounds: Bounds) -> None:
        to_free = eviction.excess(work.ledger.depth.bytes, bounds)
        if not to_free:
            return
        with closing(self._candidates(work.ledger)) as candidates:
            evicted = list(eviction.choose(candidates, to_free))
        self._file.run_many("remove", [one.key._asdict() for one in evicted])
        work.remove(len(evicted), sum(one.size for one in evicted))
        work.count(evicted_frames=sum(one.frames for one in evicted))
        self._tell_lost(work, evicted, eviction.FULL)
        self._forget_boots(work, device)

    def _candidates(self, ledger: Ledger) -> Generator[Candidate, None, None]:
        for rank in (Rank.FRAMES, Rank.EVENT):
            for number, boot in ledger.boots:
                row = {"boot_no": number, "rank": rank}
                with closing(self._file.stream("candidates", row)) as rows:
                    for seq, *figures in rows:
                        yield _candidate(Key(number, seq), boot, *figures)

    def _tell_lost(self, work: Work, gone: Sequence[Candidate], reason: str) -> None:
        lost = eviction.losses(gone)
        self._keep(work, [gap(one, reason) for one in lost])
        work.count(gaps=len(lost))

    def _delete(self, work: Work, settlement: Settlement) -> None:
        for number, boot in work.ledger.boots:
            if boot != settlement.boot:
                continue
            for first, last in settlement.spans:
                row = {"boot_no": number, "first": first, "last": last}
                gone = self._file.all("settle", row)
                work.remove(len(gone), sum(size for _, size in gone))
                work.count(messages=len(gone), frames=sum(frames for frames, _ in gone))

    def _bury(self, work: Work, device: str, key: Key, reason: str) -> None:
        boot = dict(work.ledger.boots).get(key.boot_no, "")
        for kind, rank, frames, first_ms, last_ms, payload in self._file.all("find", key._asdict()):
            letter = {"device": device, "boot": boot, "seq": key.seq, "kind": kind}
            self._file.run("put_dead_letter", letter | {"payload": payload, "reason": reason})
            self._file.run("trim_dead_letters", {"device": device, "most": DEAD_LETTERS})
            self._file.run("remove", key._asdict())
            work.remove(1, len(payload))
            work.count(refused=1)
            # A gap event that is refused leaves none behind, or there would be no end to them.
            if rank != Rank.GAP:
                gone = _candidate(key, boot, frames, first_ms, last_ms, len(payload))
                self._tell_lost(work, [gone], eviction.REFUSED)

    def _forget_boots(self, work: Work, device: str) -> None:
        boots = self._living_boots(device, work.ledger.boot_no)
        work.ledger = replace(work.ledger, boots=boots)

    def _living_boots(self, device: str, present: int) -> tuple[tuple[int, str], ...]:
        self._file.run("forget_boots", {"device": device, "present": present})
        return tuple(self._file.all("boots", {"device": device}))


def _candidate(
    key: Key, boot: str, frames: int, first_ms: int, last_ms: int, size: int
) -> Candidate:
    return Candidate(
        key=key, boot=boot, frames=frames, first_ms=first_ms, last_ms=last_ms, size=size
    )
