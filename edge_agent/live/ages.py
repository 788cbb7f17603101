"""How old a reading is, where a peer dates its readings itself; pure.

A peer's clock may be wrong, or be set; the order in which it tells its readings is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foremend.clock import Millis


class Ages:
    """Believes a peer's dates as far as they fit what was told before.

    >>> ages = Ages(most_ms=2_000)
    >>> ages.settle("speed", 300, now_ms=10_000)
    300
    >>> ages.settle("speed", 900, now_ms=10_100)  # the one before was of 9,700
    399
    """

    def __init__(self, *, most_ms: Millis) -> None:
        self._most_ms = most_ms
        """What is said to be older tells of clocks, or of a value that holds since: it is now."""
        self._told_ms: dict[str, Millis] = {}

    def settle(self, path: str, age_ms: Millis, *, now_ms: Millis) -> Millis:
        """Give the age to believe, in ms: later than the value before, and never to come."""
        believed_ms = age_ms if 0 <= age_ms <= self._most_ms else 0
        before_ms = self._told_ms.get(path)
        at_ms = now_ms - believed_ms
        if before_ms is not None:
            at_ms = min(now_ms, max(at_ms, before_ms + 1))
        self._told_ms[path] = at_ms
        return now_ms - at_ms
