"""Whether a long answer has fallen back behind what it tells; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foremend.clock import Millis


class Lateness:
    """How much later than at best a document comes, by the time that the agent made it.

    An agent's clock may be wrong by any amount, but not by more and more of it: what comes ever
    later has waited on its way. A clock that was set back looks the same, once.

    >>> lateness = Lateness()
    >>> [lateness.of(made_ms, now_ms) for made_ms, now_ms in [(0, 700), (10, 709), (20, 4_720)]]
    [0, 0, 4001]
    """

    def __init__(self) -> None:
        self._best_ms: Millis | None = None

    def of(self, made_ms: Millis | None, now_ms: Millis) -> Millis:
        """Take a document's stamp, and give its lateness in ms; 0 for one without."""
        if made_ms is None:
            return 0
        apart_ms = now_ms - made_ms
        self._best_ms = apart_ms if self._best_ms is None else min(self._best_ms, apart_ms)
        return apart_ms - self._best_ms
