"""The key that signs models is its owner's alone, and a broken one is named."""

from __future__ import annotations

import pytest

from foremend.errors import ConfigurationError
from models import signing


def test_a_key_that_others_can_read_is_refused(tmp_path):
    signing.local_key(tmp_path / "keys", tmp_path / "trusted")
    (tmp_path / "keys" / signing.PRIVATE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        signing.local_key(tmp_path / "keys", tmp_path / "trusted")


def test_a_broken_private_key_is_named(tmp_path):
    signing.local_key(tmp_path / "keys", tmp_path / "trusted")
    (tmp_path / "keys" / signing.PRIVATE).write_text("no key")
    with pytest.raises(ConfigurationError, match=signing.PRIVATE):
        signing.local_key(tmp_path / "keys", tmp_path / "trusted")


def test_a_broken_public_key_is_named(tmp_path):
    signing.local_key(tmp_path / "keys", tmp_path / "trusted")
    (tmp_path / "trusted" / "odd.pem").write_text("no key")
    with pytest.raises(ConfigurationError, match=r"odd\.pem"):
        signing.trusted_keys(tmp_path / "trusted")
