"""NATS's names for Ed25519 keys, and the tokens that it believes when such a key signed them.

A name is base32 of a prefix byte, the key's 32 bytes and a CRC-16 (XMODEM), least significant byte
first; a token is a JWT whose algorithm is called `ed25519-nkey` (github.com/nats-io/nkeys, jwt).
"""

from __future__ import annotations

import base64
import secrets
from binascii import crc_hqx
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foremend.errors import MalformedMessage

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

ACCOUNT: Final = 0
"""Prefix byte of an account's key, whose name then begins with `A`."""
_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}
_PARTS: Final = 3


def name_of(public: Ed25519PublicKey) -> str:
    """Give the name of an account's key: 56 characters, the first of them `A`."""
    body = bytes((ACCOUNT,)) + public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    checked = body + crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")


class Issuer:
    """The account key whose word the broker takes for who may come in."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.name: Final = name_of(private.public_key())

    def token(self, *, subject: str, audience: str, now_s: int, **claims: object) -> str:
        """Sign claims; the `nats` claim is what the broker acts on."""
        told = {
            "jti": secrets.token_hex(16),
            "iat": now_s,
            "iss": self.name,
            "sub": subject,
            "aud": audience,
            **claims,
        }
        text = f"{_part(_HEADER)}.{_part(told)}"
        return f"{text}.{_unpadded(self._private.sign(text.encode()))}"


def claims_of(token: bytes) -> bytes:
    """Give the JSON of a token's claims, unverified: what carried it must be trusted.

    Raises:
        MalformedMessage: it is no token.
    """
    parts = token.split(b".")
    if len(parts) != _PARTS:
        raise MalformedMessage("no_token", "a token has three parts")
    try:
        return base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4))
    except ValueError as error:
        raise MalformedMessage("no_token", str(error)) from error


def _part(content: dict[str, Any]) -> str:
    return _unpadded(msgspec.json.encode(content))


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
