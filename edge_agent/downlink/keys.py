"""Whose commands are obeyed: pinned public keys, checked before a byte of a body is read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from foremend import wire
from foremend.errors import ConfigurationError, MalformedMessage, SignatureRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

UNREADABLE, UNKNOWN_KEY, BAD_SIGNATURE = "unreadable", "unknown_key", "bad_signature"
"""Why nothing of a message was read, as the event of it says."""


class Unsigned(SignatureRefused):
    """Nobody whom this device trusts has signed this; nothing of it was read."""

    def __init__(self, reason: str, kid: str = "") -> None:
        super().__init__(f"{reason}: key {kid!r}")
        self.reason = reason
        self.kid = kid


class Keyring:
    """The public keys that this device obeys, by name."""

    def __init__(self, pems: Iterable[str]) -> None:
        self._keys = dict(map(_named, pems))

    def opened(self, payload: bytes) -> bytes:
        """Give the body of a signed message; it is bytes and nothing else until here.

        Raises:
            Unsigned: it is no signed message, or the signature is not that of a key we know.
        """
        try:
            signed = wire.decode_signed(payload)
        except MalformedMessage as error:
            raise Unsigned(UNREADABLE) from error
        key = self._keys.get(signed.kid)
        if key is None:
            raise Unsigned(UNKNOWN_KEY, signed.kid)
        try:
            key.verify(signed.sig, signed.body)
        except InvalidSignature as error:
            raise Unsigned(BAD_SIGNATURE, signed.kid) from error
        return signed.body


def _named(pem: str) -> tuple[str, Ed25519PublicKey]:
    """Name a key as the servers do: 16 hexadecimal digits of its SHA-256."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigurationError(f"a command key is no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError("a command key is no Ed25519 key")
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16], key
