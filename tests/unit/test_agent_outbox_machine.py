"""The outbox on disk against a small reference, over random lives with crashes."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge_agent.eviction import KEEP, Bounds
from edge_agent.messages import Draft, Key, Rank, Settlement, spans
from edge_agent.sqlite_store import SqliteStore
from edge_agent.store import Append
from foremend import values, wire
from foremend.clock import ManualClock
from foremend.wire import Up

DEVICES = ("d1", "d2")
BOUND = 2000
device = st.sampled_from(DEVICES)
sizes = st.lists(st.integers(40, 300), min_size=1, max_size=5)


def draft(rank: Rank, size: int) -> Draft:
    def encode(boot: str, seq: int) -> bytes:
        return f"{boot} {seq} ".encode().ljust(size, b".")

    return Draft(kind=Up.DATA, rank=rank, encode=encode, frames=1, first_ms=0, last_ms=0)


class Reference:
    """What one device's outbox should hold."""

    def __init__(self) -> None:
        self.kept: dict[Key, tuple[Rank, bytes]] = {}
        self.boots: dict[int, str] = {}
        self.next_seq = 0

    def begin(self, number: int, boot: str) -> None:
        self.boots[number], self.next_seq = boot, 0

    def keep(self, rank: Rank, payload: bytes | None = None, size: int = 0) -> None:
        number = max(self.boots)
        made = draft(rank, size).encode(self.boots[number], self.next_seq)
        self.kept[Key(number, self.next_seq)] = (rank, payload or made)
        self.next_seq += 1

    def evict(self) -> list[Key]:
        """Frames first and oldest first, never gaps, down to a share of the bound."""
        held, gone = sum(len(p) for _, p in self.kept.values()), []
        if held <= BOUND:
            return gone
        for key in sorted(self.kept, key=lambda k: (self.kept[k][0], k)):
            if held <= int(BOUND * KEEP) or self.kept[key][0] is Rank.GAP:
                break
            held -= len(self.kept.pop(key)[1])
            gone.append(key)
        return sorted(gone)

    def settle(self, boot: str, upto: int) -> None:
        self.kept = {
            k: v for k, v in self.kept.items() if self.boots[k.boot_no] != boot or k.seq > upto
        }


class OutboxLife(RuleBasedStateMachine):
    @initialize()
    def open_first(self) -> None:
        # Durability is not what is tested here, so memory will do where there is such a place.
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-law-", dir=place))
        self.files = itertools.count()
        self.boot_numbers = itertools.count(1)
        self.path = self.folder / "0.db"
        self.reference = {name: Reference() for name in DEVICES}
        self.store = SqliteStore.open(self.path, ManualClock())
        self._begin_all()

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(device=device, sizes=sizes, rank=st.sampled_from([Rank.FRAMES, Rank.EVENT]))
    def append(self, device: str, sizes: list[int], rank: Rank) -> None:
        drafts = tuple(draft(rank, size) for size in sizes)
        append = Append(device=device, bounds=Bounds(max_bytes=BOUND), drafts=drafts)
        reference = self.reference[device]

        change = self.store.commit([append])[device]

        for size in sizes:
            reference.keep(rank, size=size)
        self._expect_gaps(device, reference.evict(), change.gaps)

    @rule(device=device, choice=st.integers(0, 5), upto=st.integers(-1, 60))
    def acknowledge(self, device: str, choice: int, upto: int) -> None:
        reference = self.reference[device]
        boot = list(reference.boots.values())[-1 - choice % len(reference.boots)]

        self.store.settle(device, Settlement(boot=boot, spans=((0, upto),)))

        reference.settle(boot, upto)

    @rule(device=device, choice=st.integers(0, 50))
    def refuse(self, device: str, choice: int) -> None:
        reference = self.reference[device]
        if not reference.kept:
            return
        key = sorted(reference.kept)[choice % len(reference.kept)]

        change = self.store.settle(device, Settlement(refused=((key, "invalid"),)))

        rank, _ = reference.kept.pop(key)
        self._expect_gaps(device, [] if rank is Rank.GAP else [key], change.gaps)

    @rule(torn=st.booleans())
    def crash(self, torn: bool) -> None:
        """Go on from the files as they lie on the disk, the process gone in mid-transaction."""
        if torn:
            self.store._file.run("begin")
            self.store._file.run("remove", {"boot_no": 1, "seq": 0})
        new = self.folder / f"{next(self.files) + 1}.db"
        for file in self.folder.glob(f"{self.path.name}*"):
            shutil.copy(file, new.with_name(file.name.replace(self.path.name, new.name)))
        self.store.close()
        self.path, self.store = new, SqliteStore.open(new, ManualClock())
        self._begin_all()

    @invariant()
    def holds_what_the_reference_holds(self) -> None:
        for name, reference in self.reference.items():
            pending = self.store.pending(name, None, 1000)
            assert [m.key for m in pending] == sorted(reference.kept)
            assert [m.payload for m in pending] == [reference.kept[m.key][1] for m in pending]
            assert [m.boot for m in pending] == [reference.boots[m.key.boot_no] for m in pending]

    @invariant()
    def knows_its_depth(self) -> None:
        for name, reference in self.reference.items():
            depth = self.store.settle(name, Settlement()).depth
            assert depth.messages == len(reference.kept)
            assert depth.bytes == sum(len(payload) for _, payload in reference.kept.values())

    @invariant()
    def keeps_the_birth_of_every_boot_with_messages(self) -> None:
        for name, reference in self.reference.items():
            wanted = {key.boot_no for key in reference.kept} | {max(reference.boots)}
            births = self.store.births(name)
            assert births == {
                reference.boots[n]: f"birth {reference.boots[n]}".encode() for n in sorted(wanted)
            }

    def _begin_all(self) -> None:
        for name, reference in self.reference.items():
            number = next(self.boot_numbers)
            self.store.begin(name, f"boot{number}", f"birth boot{number}".encode())
            reference.begin(number, f"boot{number}")

    def _expect_gaps(self, device: str, gone: list[Key], told: int) -> None:
        """Each range given up is named by one gap event, numbered like any message."""
        reference = self.reference[device]
        ranges = [
            (reference.boots[number], first, last)
            for number, keys in itertools.groupby(gone, key=lambda k: k.boot_no)
            for first, last in spans(k.seq for k in keys)
        ]
        assert told == len(ranges)
        for expected in ranges:
            key = Key(max(reference.boots), reference.next_seq)
            [message] = self.store.pending(device, Key(key.boot_no, key.seq - 1), 1)
            event = wire.decode_up(Up.EVENT, message.payload)
            assert isinstance(event, wire.Event)
            assert event.code == values.GAP
            assert tuple(event.details[k] for k in ("boot", "first", "last")) == expected
            reference.keep(Rank.GAP, payload=message.payload)


OutboxLife.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestOutboxLife = OutboxLife.TestCase
