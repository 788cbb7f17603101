"""Whose turn it is while a backlog drains: new readings go beside the old ones, not behind them.

Each lane is in the order of its keys. Ingest's receipts take any order, so only the moment at
which a message arrives is a matter of lanes, never whether it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_agent.messages import Key

SHARE: Final = 6
"""Of so many places in flight the new readings have one, so a backlog drains at five times the
rate at which they come, or faster."""
LAG: Final = 256
"""Messages behind the newest at which what waits counts as a backlog."""


class Order(Enum):
    """What goes first once a link is back."""

    OLDEST_FIRST = "oldest_first"
    """Strictly by key: for clocks that run for the readings, as a recording's does."""
    FRESH_BESIDE = "fresh_beside"
    """What is new goes beside the backlog: for devices whose present matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many messages of each lane may go now."""

    fresh: int
    backlog: int
    """What the fresh lane leaves of its own goes to the backlog as well."""


def shares(*, size: int, free: int, fresh_flying: int, behind: bool) -> Shares:
    """Divide the free places of a window of `size`.

    >>> shares(size=64, free=64, fresh_flying=0, behind=True)
    Shares(fresh=10, backlog=54)
    """
    if not behind:
        return Shares(fresh=0, backlog=free)
    fresh = max(0, min(free, size // SHARE - fresh_flying))
    return Shares(fresh=fresh, backlog=free - fresh)


def lags(sent: Key, newest: Key) -> bool:
    """Tell whether what was sent last is so far behind that the rest is a backlog."""
    return sent.boot_no < newest.boot_no or newest.seq - sent.seq > LAG
