"""Keeps a worker's leases alive, and its subscriptions in step with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.leases import LOOK_S, Leases, decide_leases, partitions
from ingest.metrics import METRICS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection

_log = get_logger(__name__)


class Share(Protocol):
    """Hears some of the partitions."""

    def hear(self, numbers: Collection[int]) -> None:
        """Listen to exactly these ranges from now on."""


@dataclass(slots=True)
class Keeper:
    """Looks every while, decides, and tells what is held.

    A range is given up in two steps, one look apart: first nothing more is read of it, and then,
    once what was read is stored, another worker may have it.
    """

    leases: Leases
    share: Share
    me: str
    first_look: Callable[[], None] = lambda: None
    _held: dict[int, int] = field(default_factory=dict)
    _leaving: set[int] = field(default_factory=set)
    _fences: dict[int, int] = field(default_factory=dict)

    def fences(self) -> dict[int, int]:
        """Give the fence of each partition that is held."""
        return self._fences

    def holds(self, partition: int) -> bool:
        """Whether a partition is ours, as far as we know."""
        return partition in self._fences

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop`; the leases are left by `leave`."""
        told = False
        while not stop.is_set():
            try:
                self.turn()
            except Unavailable as error:
                # What is held stays so: whoever takes it over moves the fence.
                _log.warning("leases cannot be renewed", error=str(error))
            else:
                if not told:
                    self.first_look()
                    told = True
            stop.wait(LOOK_S)

    def turn(self) -> None:
        """Look once, and do what follows; raises Unavailable."""
        for number in sorted(self._leaving):
            self.leases.release(self.me, number)
        self._leaving.clear()
        seen, now_ms = self.leases.look(self.me)
        decision = decide_leases(seen, self.me, now_ms)
        taken = [number for number in decision.take if self.leases.take(self.me, number)]
        self._leaving.update(decision.release)
        if taken or decision.release:
            _log.info(
                "leases change",
                reason=decision.reason.value,
                taken=taken,
                released=list(decision.release),
            )
        self._hold(self.leases.renew(self.me))

    def leave(self) -> None:
        """Hand everything over, once nothing more is stored."""
        self._hold({})
        try:
            self.leases.leave(self.me)
        except Unavailable as error:
            _log.warning("leases run out by themselves", error=str(error))

    def _hold(self, held: dict[int, int]) -> None:
        self._held = held
        self._fences = {p: fence for number, fence in held.items() for p in partitions(number)}
        METRICS.partitions.set(len(self._fences))
        self.share.hear(held.keys() - self._leaving)
