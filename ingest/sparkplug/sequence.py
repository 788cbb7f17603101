"""Sequence numbers: from 0 to 255 round and round, to positions that only rise; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ingest.sparkplug.payload import SEQUENCE

WINDOW: Final = 32
"""Messages of one edge node that are held while an earlier one is awaited."""


class Order(Enum):
    """How a message stands to the one that is awaited."""

    NEXT = "next"
    AHEAD = "ahead"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A message's position in its session."""

    order: Order
    position: int


def place(awaited: int, seq: int) -> Placed:
    """Give the position nearest to the awaited one that has this sequence number.

    >>> place(awaited=256, seq=255)
    Placed(order=<Order.BEHIND: 'behind'>, position=255)
    """
    ahead = (seq - awaited) % SEQUENCE
    if ahead == 0:
        return Placed(order=Order.NEXT, position=awaited)
    if ahead < SEQUENCE // 2:
        return Placed(order=Order.AHEAD, position=awaited + ahead)
    return Placed(order=Order.BEHIND, position=awaited + ahead - SEQUENCE)
