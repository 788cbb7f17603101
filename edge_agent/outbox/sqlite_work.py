"""The pieces of a transaction on one device's part of the file; each runs inside of one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge_agent.messages import Key, Rank, Stored, gap
from edge_agent.outbox import eviction, heldtime
from edge_agent.outbox.eviction import Candidate
from edge_agent.outbox.heldtime import HeldBoot, MachineTime
from edge_agent.outbox.ledger import Boot
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from edge_agent.messages import Draft, Lost, Settlement
    from edge_agent.outbox.eviction import Bounds
    from edge_agent.outbox.heldtime import Dating
    from edge_agent.outbox.ledger import Ledger, Work
    from edge_agent.outbox.sqlite_file import SqliteFile
    from foremend.clock import Millis

DEAD_LETTERS: Final = 1000
"""Refused messages kept per device, the newest."""


def keep(file: SqliteFile, work: Work, drafts: Sequence[Draft]) -> None:
    """Number, encode and write drafts."""
    if not drafts:
        return
    file.run_many("put_message", [work.number(draft) for draft in drafts])
    present = work.ledger.present
    file.run("put_next_seq", {"boot_no": present.no, "next_seq": present.next_seq})


def note(file: SqliteFile, device: str, notes: Mapping[str, bytes | None]) -> None:
    """Remember and forget."""
    for name, value in notes.items():
        row = {"device": device, "name": name}
        if value is None:
            file.run("forget_note", row)
        else:
            file.run("put_note", row | {"value": value})


def pending(file: SqliteFile, ledger: Ledger, start: Key, limit: int) -> list[Stored]:
    """Read at most so many messages past `start`; none of a boot without a date."""
    found: list[Stored] = []
    for boot in ledger.boots:
        if boot.no < start.boot_no or boot.no in ledger.holds or len(found) >= limit:
            continue
        past = start.seq if boot.no == start.boot_no else -1
        row = {"boot_no": boot.no, "seq": past, "limit": limit - len(found)}
        found += [
            Stored(key=Key(boot.no, seq), boot=boot.boot, kind=Up(kind), payload=payload)
            for seq, kind, payload in file.all("pending", row)
        ]
    return found


def some(file: SqliteFile, ledger: Ledger, keys: Iterable[Key]) -> list[Stored]:
    """Read these messages, as far as they are kept."""
    names = {boot.no: boot.boot for boot in ledger.boots}
    return [
        Stored(key=key, boot=names[key.boot_no], kind=Up(kind), payload=payload)
        for key in keys
        if key.boot_no in names
        for kind, payload in file.all("one", key._asdict())
    ]


def evict_old(file: SqliteFile, work: Work, device: str, bounds: Bounds, now_ms: Millis) -> None:
    """Give up what is older than the bound."""
    if bounds.max_age_ms is None:
        return
    with closing(_oldest(file, work.ledger)) as candidates:
        evicted = list(eviction.too_old(candidates, now_ms, bounds))
    _give_up(file, work, device, evicted, eviction.OLD, now_ms)


def evict(
    file: SqliteFile, work: Work, device: str, to_free: int, reason: str, now_ms: Millis
) -> None:
    """Give up so many bytes, the cheapest first."""
    if to_free <= 0:
        return
    with closing(_cheapest(file, work.ledger)) as candidates:
        evicted = list(eviction.choose(candidates, to_free))
    _give_up(file, work, device, evicted, reason, now_ms)


def delete(file: SqliteFile, work: Work, settlement: Settlement) -> None:
    """Delete what is committed."""
    for boot in work.ledger.boots:
        if boot.boot != settlement.boot:
            continue
        for first, last in settlement.spans:
            gone = file.all("settle", {"boot_no": boot.no, "first": first, "last": last})
            work.resize(messages=-len(gone), size=-sum(size for _, size in gone))
            work.count(messages=len(gone), frames=sum(frames for frames, _ in gone))


def bury(file: SqliteFile, work: Work, device: str, key: Key, reason: str, now_ms: Millis) -> None:
    """Move a refused message to the dead letters, leaving a gap."""
    boot = next((boot.boot for boot in work.ledger.boots if boot.no == key.boot_no), "")
    for kind, rank, *figures, payload, held in file.all("find", key._asdict()):
        letter = {"device": device, "boot": boot, "seq": key.seq, "kind": kind}
        file.run("put_dead_letter", letter | {"payload": payload, "reason": reason})
        file.run("trim_dead_letters", {"device": device, "most": DEAD_LETTERS})
        file.run("remove", key._asdict())
        work.resize(messages=-1, size=-len(payload))
        work.count(refused=1)
        # A gap event that is refused leaves none behind, or there would be no end to them.
        if rank != Rank.GAP:
            gone = _candidate(key, boot, (*figures, len(payload), held))
            tell_lost(file, work, eviction.losses([gone]), eviction.REFUSED, now_ms)


def tell_lost(
    file: SqliteFile, work: Work, lost: Iterable[Lost], reason: str, now_ms: Millis
) -> None:
    """Write a gap event for each range that is given up."""
    gaps = [gap(one, reason, now_ms) for one in lost]
    keep(file, work, gaps)
    work.count(gaps=len(gaps))


def forget_boots(file: SqliteFile, work: Work, device: str) -> None:
    """Delete the boots that have nothing left to send, save the present one."""
    boots = living_boots(file, device, work.ledger.present.no)
    holds = work.ledger.holds & {boot.no for boot in boots}
    work.ledger = replace(work.ledger, boots=boots, holds=holds)


def living_boots(file: SqliteFile, device: str, present: int) -> tuple[Boot, ...]:
    """Delete the boots that have nothing left to send, save the present one; give the others."""
    file.run("forget_boots", {"device": device, "present": present})
    rows = file.all("boots", {"device": device})
    return tuple(Boot(no=no, boot=boot, next_seq=next_seq) for no, boot, next_seq in rows)


def held_boots(file: SqliteFile, device: str) -> list[HeldBoot]:
    """Give the boots of a device that have held messages, oldest first."""
    return [
        HeldBoot(
            no=no,
            boot=boot,
            birth=birth,
            begun=MachineTime(machine=machine, mono_ms=mono_ms),
            last_ms=last_ms,
        )
        for no, boot, birth, machine, mono_ms, last_ms in file.all("held_boots", {"device": device})
    ]


def date(file: SqliteFile, work: Work, boot: HeldBoot, dating: Dating, limit: int) -> int:
    """Date at most so many of a boot's held messages; give how many it were."""
    rows = file.all("held", {"boot_no": boot.no, "limit": limit})
    for seq, kind, first_ms, last_ms, payload in rows:
        dated = heldtime.date(Up(kind), payload, dating)
        work.resize(messages=0, size=len(dated) - len(payload))
        row = {"boot_no": boot.no, "seq": seq, "payload": dated}
        instants = {
            "first_ms": first_ms + dating.offset_ms,
            "last_ms": last_ms + dating.offset_ms,
        }
        file.run("date", row | instants)
    return len(rows)


def _give_up(
    file: SqliteFile,
    work: Work,
    device: str,
    evicted: Sequence[Candidate],
    reason: str,
    now_ms: Millis,
) -> None:
    if not evicted:
        return
    file.run_many("remove", [one.key._asdict() for one in evicted])
    work.resize(messages=-len(evicted), size=-sum(one.size for one in evicted))
    work.count(evicted_frames=sum(one.frames for one in evicted))
    tell_lost(file, work, eviction.losses(evicted), reason, now_ms)
    forget_boots(file, work, device)


def _cheapest(file: SqliteFile, ledger: Ledger) -> Generator[Candidate, None, None]:
    for rank in (Rank.FRAMES, Rank.EVENT):
        for boot in ledger.boots:
            with closing(file.stream("candidates", {"boot_no": boot.no, "rank": rank})) as rows:
                for seq, *figures in rows:
                    yield _candidate(Key(boot.no, seq), boot.boot, figures)


def _oldest(file: SqliteFile, ledger: Ledger) -> Generator[Candidate, None, None]:
    for boot in ledger.boots:
        row = {"boot_no": boot.no, "dearest": Rank.GAP}
        with closing(file.stream("oldest", row)) as rows:
            for seq, *figures in rows:
                yield _candidate(Key(boot.no, seq), boot.boot, figures)


def _candidate(key: Key, boot: str, figures: Sequence[int]) -> Candidate:
    frames, first_ms, last_ms, size, held = figures
    return Candidate(
        key=key,
        boot=boot,
        frames=frames,
        first_ms=first_ms,
        last_ms=last_ms,
        size=size,
        held=bool(held),
    )
