"""From bytes on a topic to a checked message, or to a refusal with its reason; pure."""

from __future__ import annotations

from dataclasses import dataclass

from foremend import wire
from foremend.errors import MalformedMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the broker handed over."""

    topic: str
    payload: bytes
    mid: int = 0
    """The broker's message id, by which it wants to hear PUBACK."""
    qos: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A message of the right form."""

    arrival: Arrival
    address: wire.Address
    message: wire.UpMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message that can never be stored."""

    arrival: Arrival
    address: wire.Address | None
    """None where not even the topic can be read; then nobody can be told."""
    reason: str
    detail: str


def read(arrival: Arrival) -> Accepted | Refused:
    """Decode and check one arrival."""
    address = None
    try:
        address, kind = wire.parse_up(arrival.topic)
        message = wire.decode_up(kind, arrival.payload)
    except MalformedMessage as error:
        return Refused(
            arrival=arrival, address=address, reason=error.reason, detail=str(error)[:1000]
        )
    return Accepted(arrival=arrival, address=address, message=message)
