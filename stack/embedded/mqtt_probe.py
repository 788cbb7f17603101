"""Asking an MQTT 3.1.1 broker to let a user in, and nothing more."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT, DISCONNECT, CONNACK_LENGTH = 0x10, b"\xe0\x00", 4
CLEAN_SESSION, WITH_LOGIN = 0b0000_0010, 0b1100_0000


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


def probe(
    host: str,
    port: int,
    login: Login | None,
    *,
    tls: SSLContext | None = None,
    timeout: float = 2.0,
) -> Answer:
    """Connect, with or without a login, hear the broker's answer, and leave."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as plain:
            secure = tls.wrap_socket(plain, server_hostname=host) if tls else nullcontext(plain)
            with secure as stream:
                return _ask(stream, login)
    except (OSError, ValueError):
        return Answer.SILENCE


def _ask(stream: socket.socket, login: Login | None) -> Answer:
    stream.sendall(connect_packet(login))
    reply = b""
    while len(reply) < CONNACK_LENGTH and (more := stream.recv(CONNACK_LENGTH - len(reply))):
        reply += more
    if reply[:2] != b"\x20\x02" or len(reply) < CONNACK_LENGTH:
        return Answer.SILENCE
    answer = Answer(reply[3])
    stream.sendall(DISCONNECT)
    return answer


def connect_packet(login: Login | None) -> bytes:
    """Return a CONNECT packet for a clean session under a client id that the broker makes up."""
    flags = CLEAN_SESSION | (WITH_LOGIN if login else 0)
    words = ("", login.user, login.password) if login else ("",)
    body = _text("MQTT") + bytes((4, flags, 0, 10)) + b"".join(map(_text, words))
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
