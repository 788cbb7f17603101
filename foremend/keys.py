"""Ed25519 keys that vouch for models and commands: one that signs, and those that are trusted."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from foremend.errors import ConfigurationError, SignatureRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODELS: Final = "model-signing.pem"
"""The file of the private key that vouches for models."""
COMMANDS: Final = "command-signing.pem"
"""The file of the private key that vouches for commands and configurations."""
GATE: Final = "gate-issuer.pem"
"""The file of the private key whose word the broker takes for who may come in."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the name of its public half."""

    private: Ed25519PrivateKey

    @property
    def kid(self) -> str:
        """The key's name: the first 16 hexadecimal digits of its public half's SHA-256."""
        return key_id(self.private.public_key())

    def sign(self, text: bytes) -> bytes:
        """Give the 64 bytes that vouch for `text`."""
        return self.private.sign(text)


Trusted = dict[str, Ed25519PublicKey]
"""Public keys by name."""


def key_id(public: Ed25519PublicKey) -> str:
    """Name a public key."""
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def local_key(keys: Path, trusted: Path, name: str) -> SigningKey:
    """Give this installation's key of one name, made on first use and trusted from then on.

    The private half is kept with mode 0600 in `keys`, the public half in `trusted`.
    """
    private = private_key(keys / name)
    key = SigningKey(private)
    trusted.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = trusted / f"{key.kid}.pem"
    if not told.exists():
        public = private.public_key()
        _write(told, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return key


def private_key(file: Path) -> Ed25519PrivateKey:
    """Read a private key, made on first use and kept with mode 0600.

    Raises:
        ConfigurationError: others may read it, or it is something else.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        _write(file, _pem(Ed25519PrivateKey.generate()), 0o600)
    return _private_key(file)


def trusted_keys(folder: Path) -> Trusted:
    """Read every public key of a folder; none where there is no folder."""
    keys = [_public_key(file) for file in sorted(folder.glob("*.pem"))]
    return {key_id(key): key for key in keys}


def verify(
    text: bytes, *, kid: str, signature: bytes, trusted: Mapping[str, Ed25519PublicKey]
) -> None:
    """Check a signature.

    Raises:
        SignatureRefused: nobody trusted has this key, or it did not sign this text.
    """
    public = trusted.get(kid)
    if public is None:
        raise SignatureRefused(f"signed with key {kid}, which is not among the trusted ones")
    try:
        public.verify(signature, text)
    except InvalidSignature:
        raise SignatureRefused(
            f"the signature of key {kid} does not fit: this was changed"
        ) from None


def _private_key(file: Path) -> Ed25519PrivateKey:
    if file.stat().st_mode & 0o077:
        raise ConfigurationError(f"{file} can be read by others: chmod 600 it, or make a new key")
    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{file} is no private key; move it away") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"{file} holds no Ed25519 key; move it away to have one made")
    return private


def _public_key(file: Path) -> Ed25519PublicKey:
    try:
        public = load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{file} is no public key; move it away") from error
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigurationError(f"{file} holds no Ed25519 key; move it away")
    return public


def _pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file whole, and never readable by more people than `mode` says."""
    partial = file.with_suffix(".partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
    partial.replace(file)
