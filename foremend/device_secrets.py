"""What is kept of devices' secrets: hashes, from which nobody can log in.

A secret holds 256 random bits, so that a plain hash is enough: there is nothing to guess in it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

BITS: Final = 256
SHORTEST: Final = 43
"""Characters of URL-safe base64 that hold so many bits."""
HASH_ROUNDS: Final = 101
"""Mosquitto's own default; no rounds can better a random secret."""


def new_secret() -> str:
    """Give 256 random bits in URL-safe base64."""
    return secrets.token_urlsafe(BITS // 8)


def secret_hash(secret: str) -> bytes:
    """Give what is kept of a secret: SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def mosquitto_hash(secret: str, salt: bytes) -> str:
    """Give a secret's hash as Mosquitto's password file holds it: PBKDF2-SHA512, its format 7."""
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, HASH_ROUNDS)
    parts = (base64.b64encode(raw).decode() for raw in (salt, digest))
    return f"$7${HASH_ROUNDS}${'$'.join(parts)}"
