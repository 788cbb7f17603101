"""Keys that vouch for models: kept close, made once, and refused where they do not fit."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from foremend.errors import ConfigurationError, SignatureRefused
from models import signing
from models.registry import signed_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "keys", tmp_path / "keys" / "trusted"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_may_read_the_private_key(folders) -> None:
    before = os.umask(0)
    try:
        signing.local_key(*folders)
    finally:
        os.umask(before)
    keys, trusted = folders
    assert [mode(p) for p in (keys, keys / signing.PRIVATE, trusted)] == [0o700, 0o600, 0o700]


def test_the_key_is_made_once_and_trusted_from_then_on(folders) -> None:
    first, again = signing.local_key(*folders), signing.local_key(*folders)
    assert first.kid == again.kid
    assert list(signing.trusted_keys(folders[1])) == [first.kid]


def test_a_key_that_is_no_longer_trusted_is_trusted_again_by_its_owner_alone(folders) -> None:
    key = signing.local_key(*folders)
    (folders[1] / f"{key.kid}.pem").unlink()
    assert signing.trusted_keys(folders[1]) == {}
    signing.local_key(*folders)
    assert list(signing.trusted_keys(folders[1])) == [key.kid]


def test_nobody_is_trusted_where_there_is_no_folder(tmp_path) -> None:
    assert signing.trusted_keys(tmp_path / "nothing") == {}


def test_a_key_of_another_kind_is_refused_by_name(folders) -> None:
    keys, _ = folders
    keys.mkdir()
    other = generate_private_key(SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys / signing.PRIVATE).write_bytes(pem)
    (keys / signing.PRIVATE).chmod(0o600)
    with pytest.raises(ConfigurationError, match=f"{signing.PRIVATE} holds no Ed25519 key"):
        signing.local_key(*folders)


def test_what_a_trusted_key_signed_is_accepted_and_any_other_text_is_not(folders) -> None:
    key = signing.local_key(*folders)
    trusted, signature = signing.trusted_keys(folders[1]), key.sign(b"text")
    signing.verify(b"text", kid=key.kid, signature=signature, trusted=trusted)
    with pytest.raises(SignatureRefused, match="this was changed"):
        signing.verify(b"texts", kid=key.kid, signature=signature, trusted=trusted)
    with pytest.raises(SignatureRefused, match="not among the trusted"):
        signing.verify(b"text", kid=key.kid, signature=signature, trusted={})


META = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4)
TOLD = st.fixed_dictionaries(
    {"sha256": st.text(), "kind": st.text(), "cohort": st.text(), "meta": META}
)


@given(TOLD, TOLD)
def test_two_models_are_never_spelt_alike(one, other) -> None:
    assert (signed_text(**one) == signed_text(**other)) == (one == other)


@given(TOLD)
def test_the_order_in_which_a_database_gives_meta_does_not_matter(told) -> None:
    turned = told | {"meta": dict(reversed(told["meta"].items()))}
    assert signed_text(**turned) == signed_text(**told)
