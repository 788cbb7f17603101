"""When a failed delivery is tried again; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(seconds=5)
FACTOR: Final = 4
LONGEST: Final = timedelta(hours=12)
TRIES: Final = 14
"""With these figures the last try comes some 4.4 days after the first."""
JITTER: Final = 0.2


def wait_after(attempts: int, chance: float) -> timedelta | None:
    """Give how long to wait after so many tries (1 or more), or None where it was the last.

    `chance` in [0, 1) spreads the wait by 20 % to either side, so that what failed together does
    not come back together.
    """
    if attempts >= TRIES:
        return None
    whole = min(FIRST * float(FACTOR ** (attempts - 1)), LONGEST)
    return whole * (1 - JITTER + 2 * JITTER * chance)
