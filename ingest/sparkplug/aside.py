"""Values from long ago, stored on a thread and a connection of their own.

Housekeeping may hold an old section for seconds, and live values must not wait with them. An edge
node sends nothing twice, so that what is taken here is kept until it is stored, in memory.
"""

from __future__ import annotations

import queue
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.metrics import METRICS as INGEST_METRICS
from ingest.sparkplug.metrics import METRICS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from foremend.clock import NowMs
    from ingest.intake import Accepted
    from ingest.sparkplug.door import Store

MOST: Final = 10_000
"""Messages that wait; one more is left out, counted, and leaves a hole in its device's receipt."""
BATCH: Final = 200
IDLE_S: Final = 0.25
PAUSE_S: Final = 1.0

_log = get_logger(__name__)


@dataclass(slots=True)
class Aside:
    """Takes late messages; `run` stores them until told to stop."""

    open_store: Callable[[], AbstractContextManager[Store]]
    now_ms: NowMs
    pause_s: float = PAUSE_S
    _waiting: queue.Queue[Accepted] = field(default_factory=lambda: queue.Queue(MOST))
    _batch: list[Accepted] = field(default_factory=list)

    def offer(self, late: Sequence[Accepted]) -> None:
        """Take them where there is room; never waits."""
        for one in late:
            try:
                self._waiting.put_nowait(one)
            except queue.Full:
                METRICS.left_out.labels("late").inc()

    def run(self, stop: threading.Event) -> None:
        """Store what waits, through outages, and what is left once more at the end."""
        while self._fill() or not stop.is_set():
            try:
                self._drain()
            except Unavailable as error:
                _log.warning("late values wait", error=str(error), messages=len(self._batch))
                if stop.wait(self.pause_s):
                    return

    def _drain(self) -> None:
        """Keep a connection for as long as there is something to store."""
        if self._batch:
            with self.open_store() as store:
                while self._fill():
                    committed = store.commit(self._batch, (), self.now_ms())
                    INGEST_METRICS.committed(committed)
                    self._batch = []

    def _fill(self) -> bool:
        """Whether there is a batch, after waiting a moment for one."""
        if not self._batch:
            with suppress(queue.Empty):
                self._batch.append(self._waiting.get(timeout=IDLE_S))
                while len(self._batch) < BATCH:
                    self._batch.append(self._waiting.get_nowait())
        return bool(self._batch)
