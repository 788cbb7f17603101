"""MQTT 3.1.1 as bytes, the part of it that a subscriber at QoS 0 and 1 needs; pure.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1". A general client's receive
loop costs some ten times as much a message as cutting a whole buffer up at once
(docs/adr/0011-ingest-hot-path.md).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBACK: Final = 0x90
PINGRESP: Final = 0xD0

PING: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
SUBSCRIPTION_FAILED: Final = 0x80
LARGEST: Final = 1 << 20
"""Bytes of one packet; ours are at most a quarter of it, so a larger one is a broken stream."""
_LENGTH_MORE: Final = 0x80
_LENGTH_BYTES: Final = 4


class BrokenStream(ForemendError):
    """What the broker sent is not MQTT, or is absurdly long; the connection cannot go on."""


class Publish(NamedTuple):
    """A message that was handed over (section 3.3)."""

    topic: bytes
    payload: bytes
    mid: int
    """0 at QoS 0."""


class Control(NamedTuple):
    """Any other packet: its type, and its body."""

    kind: int
    body: bytes


def connect(
    client_id: str, *, keepalive_s: int, clean: bool, user: str | None, password: str | None
) -> bytes:
    """Ask for a session (section 3.1)."""
    flags = 2 * clean + 0x80 * (user is not None) + 0x40 * (password is not None)
    fields = [client_id, *(text for text in (user, password) if text is not None)]
    head = b"\x00\x04MQTT\x04" + struct.pack(">BH", flags, keepalive_s)
    return _packet(0x10, head + b"".join(_text(field) for field in fields))


def subscribe(mid: int, filters: Iterable[str], qos: int = 1) -> bytes:
    """Ask for what matches (section 3.8)."""
    wanted = b"".join(_text(one) + bytes((qos,)) for one in filters)
    return _packet(0x82, struct.pack(">H", mid) + wanted)


def unsubscribe(mid: int, filters: Iterable[str]) -> bytes:
    """Ask for no more of what matches (section 3.10)."""
    return _packet(0xA2, struct.pack(">H", mid) + b"".join(_text(one) for one in filters))


def publish(topic: bytes, payload: bytes, mid: int = 0) -> bytes:
    """Say something, at QoS 1 where `mid` is given, else at QoS 0 (section 3.3)."""
    body = len(topic).to_bytes(2) + topic
    if mid:
        return _packet(PUBLISH | 2, body + mid.to_bytes(2) + payload)
    return _packet(PUBLISH, body + payload)


def pubacks(mids: Sequence[int]) -> bytes:
    """Acknowledge many deliveries at once (section 3.4)."""
    return b"".join([b"\x40\x02" + mid.to_bytes(2) for mid in mids])


def split(buffer: bytes) -> tuple[list[Publish], list[Control], bytes]:
    """Cut what was received into messages, other packets, and the unfinished rest.

    Raises:
        BrokenStream: a length that no packet of ours has.
    """
    messages: list[Publish] = []
    others: list[Control] = []
    at, end = 0, len(buffer)
    while end - at > 1:
        length, start = buffer[at + 1], at + 2
        if length & _LENGTH_MORE:
            length, start = _long_length(buffer, at + 1)
            if not start:
                break
        stop = start + length
        if stop > end:
            break
        first = buffer[at]
        if first & 0xF0 == PUBLISH:
            messages.append(_published(buffer, first, start, stop))
        else:
            others.append(Control(first & 0xF0, buffer[start:stop]))
        at = stop
    return messages, others, buffer[at:]


def _published(buffer: bytes, first: int, start: int, stop: int) -> Publish:
    begin = start + 2
    if begin > stop:
        raise BrokenStream("the broker sent a message without a topic")
    after = begin + (buffer[start] << 8 | buffer[start + 1])
    body = after + 2 if first & 0x06 else after
    if body > stop:
        raise BrokenStream("the broker sent a message that ends within its topic")
    mid = 0 if body == after else buffer[after] << 8 | buffer[after + 1]
    return Publish(buffer[begin:after], buffer[body:stop], mid)


def _long_length(buffer: bytes, at: int) -> tuple[int, int]:
    """Read a length of several bytes (section 2.2.3); a start of 0 means it is not whole yet."""
    length = 0
    for n, byte in enumerate(buffer[at : at + _LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * n
        if not byte & _LENGTH_MORE:
            if length > LARGEST:
                raise BrokenStream(f"the broker announces a packet of {length} bytes")
            return length, at + n + 1
    if len(buffer) - at >= _LENGTH_BYTES:
        raise BrokenStream("the broker announces a packet whose length has no end")
    return 0, 0


def _packet(first: int, body: bytes) -> bytes:
    length, size = len(body), bytearray()
    while length >= _LENGTH_MORE:
        size.append(length & 0x7F | _LENGTH_MORE)
        length >>= 7
    size.append(length)
    return bytes((first, *size)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2) + encoded
