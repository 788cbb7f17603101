"""The keys that vouch for models; how keys are kept and checked stands in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foremend import keys as kept
from foremend.keys import SigningKey, Trusted, key_id, trusted_keys, verify

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PRIVATE", "SigningKey", "Trusted", "key_id", "local_key", "trusted_keys", "verify"]

PRIVATE: Final = kept.MODELS


def local_key(keys: Path, trusted: Path) -> SigningKey:
    """Give this installation's key for models, made on first use and trusted from then on."""
    return kept.local_key(keys, trusted, PRIVATE)
