"""The outbox as the agents of one host process share it: grouped commits, one view a device.

A commit to the disk costs the same for one message as for hundreds, so the drafts of every
device that come within a short window go down together: sixteen devices cost one fsync a window.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from edge_agent.messages import Change, Depth, Load
from edge_agent.outbox.ballast import Ballast
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.sqlite_file import OutboxFull
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.store import Append
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from edge_agent.messages import Draft, Key, Settlement, Stored
    from edge_agent.outbox.heldtime import MachineStart, MachineTime
    from edge_agent.outbox.store import Store
    from foremend.clock import NowMs

LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")
Waiting = tuple[Append, "asyncio.Future[None]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """When a group of drafts is committed: whichever comes first."""

    within_s: float = 0.1
    """Seconds that the first draft of a group waits for others."""
    most: int = 512
    """Drafts in a group."""
    retry_s: float = 1.0
    """Seconds between two tries while the disk is full or does not answer."""
    patience_s: float = 5.0
    """Seconds that a group waits for room on a full disk before it is committed in parts, for
    which the cheapest messages are given up."""


@dataclass(slots=True, kw_only=True)
class Totals:
    """What went through a device's outbox since it was opened."""

    frames: int = 0
    """Distinct frames that were kept."""
    messages: int = 0
    frames_acked: int = 0
    frames_acked_late: int = 0
    """Of these, frames of earlier boots."""
    gaps: int = 0
    evicted_frames: int = 0
    refused: int = 0


class OutboxFile:
    """Runs a `Store` in a thread of its own for any number of devices.

    >>> async with open_outbox(Path("outbox.sqlite3"), wall_ms) as file:
    ...     outbox = file.device("printer-01")
    """

    def __init__(self, store: Store, *, grouping: Grouping, executor: ThreadPoolExecutor) -> None:
        self._store = store
        self._grouping = grouping
        self._executor = executor
        self._views: dict[str, DeviceOutbox] = {}
        self._waiting: list[Waiting] = []
        self._drafts_waiting = 0
        self._filled = asyncio.Event()
        self._due = asyncio.Event()
        self._closing = False

    def device(self, name: str, bounds: Bounds | None = None) -> DeviceOutbox:
        """Give the part of one device; `begin` comes first."""
        return self._views.setdefault(name, DeviceOutbox(self, name, bounds or Bounds()))

    async def call(self, work: Callable[[Store], T]) -> T:
        """Do something with the store, in its thread; again and again while it is unavailable."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._executor, work, self._store)
            except Unavailable as error:
                LOG.warning("the outbox does not answer", extra={"error": str(error)})
            await asyncio.sleep(self._grouping.retry_s)

    def submit(self, append: Append) -> asyncio.Future[None]:
        """Put drafts into the next group; the future is done when they are on the disk."""
        kept = asyncio.get_running_loop().create_future()
        self._waiting.append((append, kept))
        self._drafts_waiting += len(append.drafts)
        self._filled.set()
        if self._drafts_waiting >= self._grouping.most:
            self._due.set()
        return kept

    def hurry(self) -> None:
        """Let the group that is being gathered go at once."""
        self._due.set()

    def close(self) -> None:
        """Let `run` commit what waits, and end."""
        self._closing = True
        self._filled.set()
        self._due.set()

    async def run(self) -> None:
        """Commit group after group, until closed."""
        try:
            while not self._closing or self._waiting:
                await self._filled.wait()
                await self._gather()
                await self._commit_group()
        finally:
            for _, kept in self._waiting:
                kept.cancel()

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(self._grouping.within_s):
                await self._due.wait()
        except TimeoutError:
            return

    async def _commit_group(self) -> None:
        group, self._waiting = self._waiting, []
        self._drafts_waiting = 0
        for event in (self._filled, self._due):
            event.clear()
        most = len(group)
        until = asyncio.get_running_loop().time() + self._grouping.patience_s
        while group:
            try:
                changes = await self._commit([append for append, _ in group[:most]], until)
            except BaseException:
                self._waiting = group + self._waiting
                raise
            if changes is None:
                group, most = _smaller(group, most)
                continue
            for device, change in changes.items():
                self._views[device].committed(change)
            for _, kept in group[:most]:
                if not kept.done():
                    kept.set_result(None)
            group = group[most:]

    async def _commit(self, appends: Sequence[Append], until: float) -> Mapping[str, Change] | None:
        """Commit, however long it takes; None where there is no room for so much `until` then."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._executor, self._store.commit, appends)
            except Unavailable as error:
                LOG.warning("the outbox does not answer", extra={"error": str(error)})
                full = isinstance(error, OutboxFull) and loop.time() >= until
                if full and (len(appends) > 1 or _divisible(appends[0])):
                    return None
            await asyncio.sleep(self._grouping.retry_s)


def _smaller(group: list[Waiting], most: int) -> tuple[list[Waiting], int]:
    """Give the group with less to commit at once: half of it, or its first append by drafts."""
    if most > 1:
        return group, most // 2
    (append, kept), *rest = group
    singles = [replace(append, drafts=(draft,)) for draft in append.drafts]
    loop = asyncio.get_running_loop()
    before: list[Waiting] = [(single, loop.create_future()) for single in singles[:-1]]
    return [*before, (singles[-1], kept), *rest], 1


def _divisible(append: Append) -> bool:
    """Tell whether its drafts may be committed one by one; a note belongs to all of them."""
    return len(append.drafts) > 1 and not append.notes


class DeviceOutbox:
    """One device's part of a shared outbox; what the agent and its publisher hold."""

    def __init__(self, file: OutboxFile, device: str, bounds: Bounds) -> None:
        self.totals: Final = Totals()
        self.depth = Depth()
        self._file = file
        self._device = device
        self._bounds = bounds
        self._boot = ""
        self._uncommitted = 0
        self._moved = asyncio.Event()

    @property
    def load(self) -> Load:
        """What waits in it, now."""
        return Load(
            uncommitted=self._uncommitted,
            unsettled=self._uncommitted + self.depth.messages,
            fullness=self.depth.bytes / self._bounds.max_bytes,
        )

    async def begin(self, boot: str, birth: bytes, begun: MachineTime | None = None) -> None:
        """Open a boot, from which on messages are numbered from 0; `begun` where it has no date."""
        change = await self._file.call(lambda store: store.begin(self._device, boot, birth, begun))
        self._boot = boot
        self._note(change)

    def append(
        self, *drafts: Draft, notes: Mapping[str, bytes | None] | None = None
    ) -> asyncio.Future[None]:
        """Keep drafts in this order; the future is done when they are on the disk.

        `notes` are remembered with them or not at all.
        """
        self._uncommitted += len(drafts)
        append = Append(device=self._device, bounds=self._bounds, drafts=drafts, notes=notes or {})
        return self._file.submit(append)

    async def notes(self) -> dict[str, bytes]:
        """Give what was remembered."""
        return await self._file.call(lambda store: store.notes(self._device))

    def hurry(self) -> None:
        """Let what was appended go to the disk at once."""
        self._file.hurry()

    async def pending(self, after: Key | None, limit: int) -> list[Stored]:
        """Give kept messages in the order of sending, past `after`; none of an undated boot."""
        return await self._file.call(lambda store: store.pending(self._device, after, limit))

    async def some(self, keys: frozenset[Key]) -> list[Stored]:
        """Give those of these messages that are still kept."""
        return await self._file.call(lambda store: store.some(self._device, keys))

    async def newest(self) -> Key:
        """Give the key of the message that was numbered last."""
        return await self._file.call(lambda store: store.newest(self._device))

    async def date(self, here: MachineStart) -> int:
        """Give every held message its instant; give how many it were."""
        dated = 0
        while (change := await self._file.call(lambda s: s.date(self._device, here))).messages:
            dated += change.messages
        self._note(change)
        return dated

    async def births(self) -> dict[str, bytes]:
        """Give the births of the boots that still have messages, and of the present one."""
        return await self._file.call(lambda store: store.births(self._device))

    async def settle(self, settlement: Settlement) -> None:
        """Delete what is committed; set aside what is refused."""
        change = await self._file.call(lambda store: store.settle(self._device, settlement))
        self.totals.frames_acked += change.frames
        if settlement.boot != self._boot:
            self.totals.frames_acked_late += change.frames
        self._note(change)

    async def moved(self) -> None:
        """Wait until something was committed or settled, or a nudge."""
        self._moved.clear()
        await self._moved.wait()

    def nudge(self) -> None:
        """Let those who wait look again."""
        self._moved.set()

    def committed(self, change: Change) -> None:
        """Take note of a commit; the file calls this."""
        self._uncommitted -= change.messages
        self.totals.messages += change.messages
        self.totals.frames += change.frames
        self._note(change)

    def _note(self, change: Change) -> None:
        self.depth = change.depth
        self.totals.gaps += change.gaps
        self.totals.evicted_frames += change.evicted_frames
        self.totals.refused += change.refused
        self._moved.set()


@asynccontextmanager
async def open_outbox(
    path: Path, now_ms: NowMs, *, grouping: Grouping | None = None, ballast_bytes: int = 0
) -> AsyncIterator[OutboxFile]:
    """Open an outbox file for the agents of this process; what waits is committed at the end.

    `ballast_bytes` of the disk are kept back beside it, to be let go when the disk is full.

    Raises:
        OutboxInUse: another process has it.
        OutboxUnavailable: the disk is full or cannot be read.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox") as executor:
        loop = asyncio.get_running_loop()
        ballast = Ballast(path.with_name(f"{path.name}.ballast"), ballast_bytes)
        opening = partial(SqliteStore.open, path, now_ms, ballast)
        store = await loop.run_in_executor(executor, opening)
        try:
            async with serving(store, executor=executor, grouping=grouping) as file:
                yield file
        finally:
            await loop.run_in_executor(executor, store.close)


@asynccontextmanager
async def serving(
    store: Store, *, executor: ThreadPoolExecutor, grouping: Grouping | None = None
) -> AsyncIterator[OutboxFile]:
    """Commit a store's groups while this lasts; should that fail, the body is cancelled."""
    file = OutboxFile(store, grouping=grouping or Grouping(), executor=executor)
    async with asyncio.TaskGroup() as group:
        group.create_task(file.run(), name="outbox commits")
        yield file
        file.close()
