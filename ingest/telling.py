"""When acknowledgements leave: at once for a device that was quiet, else a few times a second.

Each is cumulative, so of two for one boot the later says all; a device that speaks ten times a
second is answered as often as the commits that hold it, and no oftener than `COALESCE_S` asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import wire
from ingest.acks import Told

if TYPE_CHECKING:
    from collections.abc import Iterable

COALESCE_S: Final = 0.1
"""How long an acknowledgement may wait for company (design, section 5)."""
_GENERATION_S: Final = 0.5
"""A device is quiet when it is in neither of the last two generations."""

_Key = tuple[wire.Address, str, bool]


@dataclass(slots=True)
class Teller:
    """Holds back what may wait. Times are seconds of one monotonic clock."""

    _waiting: dict[_Key, Told] = field(default_factory=dict)
    _sent_at: float = float("-inf")
    _turned_at: float = float("-inf")
    _busy: set[wire.Address] = field(default_factory=set)
    _busy_before: set[wire.Address] = field(default_factory=set)

    def add(self, told: Iterable[Told], now: float) -> list[Told]:
        """Take what a commit says, and give what leaves at once."""
        self._turn(now)
        at_once = []
        for one in told:
            busy = one.address in self._busy or one.address in self._busy_before
            self._busy.add(one.address)
            if busy:
                self._hold(one)
            else:
                at_once.append(one)
        return [*at_once, *self.due(now)]

    def due(self, now: float) -> list[Told]:
        """Give what has waited long enough."""
        if not self._waiting or now - self._sent_at < COALESCE_S:
            return []
        leaving = list(self._waiting.values())
        self._waiting.clear()
        self._sent_at = now
        return leaving

    def rest(self) -> list[Told]:
        """Give all that waits, at the end."""
        leaving = list(self._waiting.values())
        self._waiting.clear()
        return leaving

    def patience(self, now: float) -> float | None:
        """Give the seconds until something is due; None where nothing waits."""
        return max(self._sent_at + COALESCE_S - now, 0) if self._waiting else None

    def _hold(self, one: Told) -> None:
        key = (one.address, one.ack.boot, one.ack.birth_wanted)
        before = self._waiting.get(key)
        if before is not None and before.ack.refused:
            refused = (*before.ack.refused, *one.ack.refused)
            one = Told(address=one.address, ack=wire.Ack(boot=one.ack.boot, refused=refused))
        self._waiting[key] = one

    def _turn(self, now: float) -> None:
        if now - self._turned_at >= _GENERATION_S:
            self._busy_before, self._busy = self._busy, set()
            self._turned_at = now
