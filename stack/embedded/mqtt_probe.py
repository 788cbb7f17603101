"""Asking an MQTT 3.1.1 broker to let a user in, and nothing more."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

CONNECT, DISCONNECT, CONNACK_LENGTH = 0x10, b"\xe0\x00", 4
CLEAN_SESSION_WITH_LOGIN: Final = 0b1100_0010


class Answer(IntEnum):
    """What the broker said; MQTT 3.1.1, section 3.2.2.3."""

    ACCEPTED = 0
    BAD_VERSION = 1
    BAD_CLIENT_ID = 2
    UNAVAILABLE = 3
    BAD_LOGIN = 4
    NOT_ALLOWED = 5
    SILENCE = 255
    """Nobody listens, or what listens does not speak MQTT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user of the broker."""

    user: str
    password: str


def probe(host: str, port: int, login: Login, *, timeout: float = 2.0) -> Answer:
    """Connect, hear the broker's answer, and leave."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as stream:
            stream.sendall(connect_packet(login))
            reply = stream.recv(CONNACK_LENGTH, socket.MSG_WAITALL)
            if reply[:2] != b"\x20\x02" or len(reply) < CONNACK_LENGTH:
                return Answer.SILENCE
            answer = Answer(reply[3])
            stream.sendall(DISCONNECT)
    except (OSError, ValueError):
        return Answer.SILENCE
    return answer


def connect_packet(login: Login) -> bytes:
    """Return a CONNECT packet for a clean session under a client id that the broker makes up."""
    body = b"".join(
        (
            _text("MQTT"),
            bytes((4, CLEAN_SESSION_WITH_LOGIN, 0, 10)),
            _text(""),
            _text(login.user),
            _text(login.password),
        )
    )
    return bytes((CONNECT,)) + _remaining_length(len(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _remaining_length(length: int) -> bytes:
    """Encode seven bits to a byte, the highest bit meaning that more follow."""
    digits = bytearray()
    while length > 127:  # noqa: PLR2004 - what seven bits hold
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*digits, length))
