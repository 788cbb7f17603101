"""MQTT 3.1.1 packets in a stream of bytes, as far as a relay must know them; pure."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_MORE: Final = 0x80
_LONGEST_LENGTH: Final = 4


class Kind(IntEnum):
    """The packets that a relay looks at (MQTT 3.1.1, table 2.1)."""

    CONNECT = 1
    PUBLISH = 3


def kind_of(packet: bytes) -> int:
    """Give a packet's type."""
    return packet[0] >> 4


class Splitter:
    r"""Cuts a stream into whole packets.

    >>> Splitter().feed(bytes((0xC0, 0, 0xD0)))
    [b'\\xc0\\x00']
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, more: bytes) -> list[bytes]:
        """Take bytes in; give the packets that are complete."""
        self._held += more
        packets: list[bytes] = []
        while (size := _size(self._held)) is not None and len(self._held) >= size:
            packets.append(bytes(self._held[:size]))
            del self._held[:size]
        return packets


def topic_of(publish: bytes) -> str:
    """Give the topic of a PUBLISH."""
    start = _header(publish)
    length = int.from_bytes(publish[start : start + 2], "big")
    return publish[start + 2 : start + 2 + length].decode()


def client_of(connect: bytes) -> str:
    """Give the client id of a CONNECT: after the protocol's name, level, flags and keepalive."""
    start = _header(connect)
    start += 2 + int.from_bytes(connect[start : start + 2], "big") + 4
    length = int.from_bytes(connect[start : start + 2], "big")
    return connect[start + 2 : start + 2 + length].decode()


def _header(packet: bytes) -> int:
    """Give where the variable header begins."""
    at = 1
    while packet[at] & _MORE:
        at += 1
    return at + 1


def _size(held: bytearray) -> int | None:
    """Give the size of the first packet, None while that cannot be said yet."""
    length = shift = 0
    for at in range(1, min(len(held), _LONGEST_LENGTH + 1)):
        length |= (held[at] & ~_MORE) << shift
        shift += 7
        if not held[at] & _MORE:
            return at + 1 + length
    return None
