"""Closing an outbox file while its disk is slow."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from edge_agent.framing import event_draft
from edge_agent.outbox.group import Grouping, serving
from edge_agent.outbox.store import MemoryStore
from edge_agent.source import Happening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.messages import Change
    from edge_agent.outbox.store import Append


class SlowStore(MemoryStore):
    """Says when a commit begins, and ends it when allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.allowed = threading.Event()

    def commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        self.begun.set()
        self.allowed.wait(30)
        return super().commit(appends)


async def test_what_is_appended_during_the_last_commit_is_committed_before_the_end() -> None:
    store = SlowStore()
    draft = event_draft(Happening(ts_ms=0, code="E1"))
    with ThreadPoolExecutor(max_workers=1) as executor, ThreadPoolExecutor() as waiter:
        async with serving(store, executor=executor, grouping=Grouping(within_s=0)) as file:
            outbox = file.device("d1")
            await outbox.begin("boot1", b"birth1")
            outbox.append(draft)
            await asyncio.get_running_loop().run_in_executor(waiter, store.begun.wait, 30)
            late = outbox.append(draft)
            store.allowed.set()

    assert late.done()
    assert len(store.pending("d1", None, 9)) == 2
