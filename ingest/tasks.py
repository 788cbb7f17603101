"""Side tasks on threads of their own; the death of one stops the process, loudly."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foremend.errors import ForemendError
from foremend.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = get_logger(__name__)


class TaskDied(ForemendError):
    """A part of this process died; the lines above say why."""


class Watch:
    """Stops everything when a side task dies, and says so at the end.

    >>> watch = Watch(threading.Event())
    >>> watch.died(ValueError("no"))
    >>> watch.stop.is_set()
    True
    """

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self._death: BaseException | None = None

    def died(self, error: BaseException) -> None:
        """Note that a task has died, and stop the others."""
        self._death = self._death or error
        _log.critical("a part of this process died", error=repr(error))
        self.stop.set()

    def check(self) -> None:
        """Raise TaskDied where one has."""
        if self._death is not None:
            raise TaskDied from self._death

    @contextmanager
    def task(self, name: str, run: Callable[[threading.Event], None]) -> Iterator[None]:
        """Run a task beside the block; it is told to stop with everything else."""

        def guarded() -> None:
            try:
                run(self.stop)
            except BaseException as error:
                self.died(error)
                raise

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join(timeout=10)
