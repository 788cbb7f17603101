"""Runs the gate's event loop in a thread of its own, beside the one that follows the database."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future
    from types import TracebackType

T = TypeVar("T")
PATIENCE_S: Final = 60.0
"""For anything that is asked of the loop; looking over 8,000 sessions takes a few seconds."""


class Gate(Protocol):
    """What is run."""

    async def open(self) -> None:
        """Begin to listen."""

    async def serve(self) -> None:
        """Answer until cancelled."""

    async def close(self) -> None:
        """Leave."""


class Door:
    """A gate in its own thread; should it die, `stop` is set and leaving raises why."""

    def __init__(self, gate: Gate, stop: threading.Event) -> None:
        self._gate = gate
        self._stop = stop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate-door")
        self._serving: Future[None] | None = None

    def open(self) -> None:
        """Let the gate listen and answer; raises what `Gate.open` raises."""
        self.ask(self._gate.open())
        self._serving = asyncio.run_coroutine_threadsafe(self._gate.serve(), self._loop)
        self._serving.add_done_callback(lambda _: self._stop.set())

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        died = self._death()
        if self._serving is not None:
            self._serving.cancel()
            self.ask(self._gate.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if died is not None and error is None:
            raise died

    def _death(self) -> BaseException | None:
        if self._serving is None or not self._serving.done() or self._serving.cancelled():
            return None
        return self._serving.exception()
