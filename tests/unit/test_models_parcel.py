"""A model version as one file: whole where it is honest, and no door for anybody else."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import msgspec
import pytest

from foremend.errors import SignatureRefused
from models import registry, signing
from models.parcel import FORM, NoParcel, packed, unpacked
from models.registry import LibraryMismatch, Record, seal

if TYPE_CHECKING:
    from models.signing import SigningKey, Trusted


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return signing.local_key(tmp_path / "keys", tmp_path / "trusted")


@pytest.fixture
def trusted(tmp_path: Path, key: SigningKey) -> Trusted:
    return signing.trusted_keys(tmp_path / "trusted")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def pickled(harm: Path) -> bytes:
    sink = io.BytesIO()
    joblib.dump(Payload(harm), sink)
    return sink.getvalue()


def a_model(key: SigningKey, artefact: bytes = b"artefact") -> Record:
    meta = {"seed": 7, "metrics": {"lead": 12.5, "of": [1, 2.0, None]}}
    return seal(artefact, kind="failure", cohort="toy", meta=meta, key=key)


def test_what_is_packed_comes_back_whole(key, trusted) -> None:
    record = a_model(key)
    assert unpacked(packed(record), trusted) == record


def test_a_stage_is_not_carried_along(key, trusted) -> None:
    """Another registry's champion is a shadow here."""
    assert unpacked(packed(replace(a_model(key), stage="champion")), trusted).stage == "shadow"


def test_any_changed_byte_is_refused(key, trusted) -> None:
    content = packed(a_model(key))
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x01
        with pytest.raises((SignatureRefused, NoParcel, LibraryMismatch)):
            unpacked(bytes(changed), trusted)


def test_a_file_signed_by_a_stranger_is_refused_and_nothing_of_it_is_run(
    key, trusted, tmp_path
) -> None:
    stranger = signing.local_key(tmp_path / "elsewhere", tmp_path / "their-trust")
    harm = tmp_path / "harm"
    with pytest.raises(SignatureRefused):
        unpacked(packed(a_model(stranger, pickled(harm))), trusted)
    assert not harm.exists()
    joblib.load(io.BytesIO(pickled(harm)))
    assert harm.exists(), "the payload must be able to do harm"


def test_a_payload_under_an_honest_signature_is_refused(key, trusted, tmp_path) -> None:
    harm = tmp_path / "harm"
    record = replace(a_model(key), artefact=pickled(harm))
    with pytest.raises(SignatureRefused, match="the artefact is not the one signed"):
        unpacked(packed(record), trusted)
    assert not harm.exists()


@pytest.mark.parametrize("library", ["river", "scikit-learn"])
def test_other_library_versions_are_refused_by_name(key, trusted, monkeypatch, library) -> None:
    past = registry.libraries() | {library: "0.1.9"}
    monkeypatch.setattr(registry, "libraries", lambda: past)
    content = packed(a_model(key))
    monkeypatch.undo()
    with pytest.raises(LibraryMismatch, match=f"was made with {library} 0.1.9, and "):
        unpacked(content, trusted)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 not ours", b"\x80", msgspec.msgpack.encode({"form": FORM}), b"\x91" * 5000],
)
def test_what_is_no_such_file_is_told_so(trusted, content) -> None:
    with pytest.raises(NoParcel):
        unpacked(content, trusted)


def test_a_later_form_is_named(key, trusted) -> None:
    told = msgspec.msgpack.decode(packed(a_model(key))) | {"form": "foremend-model/9"}
    with pytest.raises(NoParcel, match="foremend-model/9"):
        unpacked(msgspec.msgpack.encode(told), trusted)
