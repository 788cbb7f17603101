"""From bytes on a topic to a checked message, or to a refusal with its reason; pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from foremend import wire
from foremend.errors import MalformedMessage

TOPICS_REMEMBERED: Final = 16_384
"""Read once and then looked up; some 6 MB at most, whatever topics somebody makes up."""
NUL_REFUSED: Final = (wire.Up.BIRTH, wire.Up.EVENT, wire.Up.RESULT)
"""Kinds that carry free text, which PostgreSQL stores without NUL or not at all."""

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of U+0000 in JSON, not one whose backslash is itself escaped."""

_parse_up = lru_cache(TOPICS_REMEMBERED)(wire.parse_up)


class Arrival(Struct, frozen=True, kw_only=True, gc=False):
    """What the broker handed over."""

    topic: str
    payload: bytes
    mid: int = 0
    """The broker's message id, by which it wants to hear PUBACK."""
    qos: int = 1
    origin: int = 0
    """Which connection of ours it came by: a message id means nothing on another."""

    @property
    def size(self) -> int:
        """Bytes held while it is on its way."""
        return len(self.topic) + len(self.payload)


class Accepted(Struct, frozen=True, kw_only=True, gc=False):
    """A message of the right form."""

    arrival: Arrival
    address: wire.Address
    message: wire.UpMessage


class Refused(Struct, frozen=True, kw_only=True, gc=False):
    """A message that can never be stored."""

    arrival: Arrival
    address: wire.Address | None
    """None where not even the topic can be read; then nobody can be told."""
    reason: str
    detail: str


Outcome = Accepted | Refused


def read(arrival: Arrival) -> Outcome:
    """Decode and check one arrival."""
    address = None
    try:
        address, kind = _parse_up(arrival.topic)
        message = wire.decode_up(kind, arrival.payload)
        if kind in NUL_REFUSED:
            _refuse_nul(message)
    except MalformedMessage as error:
        return Refused(
            arrival=arrival, address=address, reason=error.reason, detail=str(error)[:1000]
        )
    return Accepted(arrival=arrival, address=address, message=message)


def refuse(accepted: Accepted, reason: str, detail: str) -> Refused:
    """Turn a message down that was well formed."""
    return Refused(
        arrival=accepted.arrival, address=accepted.address, reason=reason, detail=detail[:1000]
    )


def _refuse_nul(message: wire.UpMessage) -> None:
    if _NUL.search(wire.encode(message)):
        raise MalformedMessage("nul", "the text holds U+0000, which cannot be stored")
