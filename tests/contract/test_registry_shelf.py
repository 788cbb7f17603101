"""What every shelf of models keeps to, the one in memory and the one in the database."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import pytest

from foremend.db import connect
from foremend.errors import Conflict, NotFound, SignatureRefused
from foremend.settings import Settings
from models import registry, signing
from models.failure import FailureModel, WrongPayload
from models.registry import LibraryMismatch, MemoryShelf, PostgresShelf, Record, opened, seal
from stack.verified import VerifiedModels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.registry import Shelf
    from models.signing import SigningKey


@pytest.fixture(params=["memory", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if request.param == "memory":
        yield MemoryShelf()
        return
    urls = request.getfixturevalue("migrated_urls")
    with connect(urls.app, name="test") as connection:
        yield PostgresShelf(connection)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return signing.local_key(tmp_path / "keys", tmp_path / "trusted")


@pytest.fixture
def trusted(tmp_path: Path, key: SigningKey) -> signing.Trusted:
    return signing.trusted_keys(tmp_path / "trusted")


def a_model(key: SigningKey, text: bytes, *, cohort: str = "toy", kind: str = "failure") -> Record:
    return seal(text, kind=kind, cohort=cohort, meta={"seed": 7}, key=key)


def stages(shelf: Shelf) -> dict[str, str]:
    return {record.version: record.stage for record in shelf.listed()}


def test_what_is_put_comes_back_whole_and_as_a_shadow(shelf, key, trusted) -> None:
    put = a_model(key, b"artefact")
    shelf.put(put)
    assert shelf.get(put.version) == put
    assert (put.stage, put.version) == ("shadow", put.sha256[:12])
    assert opened(shelf.get(put.version), trusted) == b"artefact"


def test_every_number_in_what_is_told_keeps_its_signature(shelf, key, trusted) -> None:
    told = {"big": 1e20, "small": 1e-7, "none": float("nan"), "flat": -0.0, "by": {3: (1, 2.5)}}
    put = seal(b"artefact", kind="failure", cohort="toy", meta=told, key=key)
    shelf.put(put)
    assert opened(shelf.get(put.version), trusted) == b"artefact"


def test_the_same_version_again_is_nothing(shelf, key) -> None:
    one = a_model(key, b"one")
    shelf.put(one)
    registry.promote(shelf, one.version)
    shelf.put(one)
    assert stages(shelf) == {one.version: "champion"}


def test_promotion_leaves_one_champion_and_retires_the_one_before(shelf, key) -> None:
    one, two = a_model(key, b"one"), a_model(key, b"two")
    for model in (one, two):
        shelf.put(model)
        registry.promote(shelf, model.version)
    assert stages(shelf) == {one.version: "retired", two.version: "champion"}
    assert shelf.champion("failure", "toy") == two.version
    assert shelf.get(two.version).replaces == one.version


def test_promoting_the_champion_changes_nothing(shelf, key) -> None:
    one, two = a_model(key, b"one"), a_model(key, b"two")
    for model in (one, two):
        shelf.put(model)
        registry.promote(shelf, model.version)
    before = shelf.get(two.version)
    assert registry.promote(shelf, two.version) == before


def test_cohorts_and_kinds_have_champions_of_their_own(shelf, key) -> None:
    models = [
        a_model(key, b"one"),
        a_model(key, b"two", cohort="other"),
        a_model(key, b"three", kind="prior"),
    ]
    for model in models:
        shelf.put(model)
        registry.promote(shelf, model.version)
    assert set(stages(shelf).values()) == {"champion"}


def test_a_rollback_puts_back_what_was_replaced(shelf, key) -> None:
    one, two = a_model(key, b"one"), a_model(key, b"two")
    for model in (one, two):
        shelf.put(model)
        registry.promote(shelf, model.version)
    assert registry.roll_back(shelf, "failure", "toy").version == one.version
    assert stages(shelf) == {one.version: "champion", two.version: "retired"}


def test_there_is_nothing_to_roll_back_to_before_a_second_model(shelf, key) -> None:
    with pytest.raises(Conflict, match="no earlier failure model of toy"):
        registry.roll_back(shelf, "failure", "toy")
    one = a_model(key, b"one")
    shelf.put(one)
    registry.promote(shelf, one.version)
    with pytest.raises(Conflict):
        registry.roll_back(shelf, "failure", "toy")


def test_versions_that_nobody_put_are_not_found(shelf) -> None:
    assert shelf.champion("failure", "toy") is None
    for ask in (shelf.get, lambda v: shelf.crown(v, remember=True)):
        with pytest.raises(NotFound, match="there is no model"):
            ask("0" * 12)


def test_a_list_spares_the_artefacts(shelf, key) -> None:
    shelf.put(a_model(key, b"artefact"))
    assert [record.artefact for record in shelf.listed()] == [b""]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.fixture
def harm(tmp_path: Path) -> Path:
    return tmp_path / "harm"


def pickled(harm: Path) -> bytes:
    sink = io.BytesIO()
    joblib.dump(Payload(harm), sink)
    return sink.getvalue()


def test_the_payload_of_these_tests_does_harm_once_it_is_unpickled(harm) -> None:
    with pytest.raises(WrongPayload):
        FailureModel.load(pickled(harm))
    assert harm.exists()


def unsigned(record: Record, key: SigningKey, stranger: SigningKey) -> Record:
    return replace(record, kid="", signature=b"")


def with_a_foreign_key(record: Record, key: SigningKey, stranger: SigningKey) -> Record:
    return a_model(stranger, record.artefact)


def with_a_foreign_key_under_our_name(
    record: Record, key: SigningKey, stranger: SigningKey
) -> Record:
    return replace(a_model(stranger, record.artefact), kid=key.kid)


def with_our_signature_of_another_model(
    record: Record, key: SigningKey, stranger: SigningKey
) -> Record:
    honest = a_model(key, b"honest")
    return replace(honest, artefact=record.artefact)


def with_a_changed_byte(record: Record, key: SigningKey, stranger: SigningKey) -> Record:
    return replace(record, artefact=record.artefact[:-1] + b"\xff")


def with_another_cohort(record: Record, key: SigningKey, stranger: SigningKey) -> Record:
    return replace(record, cohort="other")


def under_the_name_of_another_version(
    record: Record, key: SigningKey, stranger: SigningKey
) -> Record:
    return replace(record, version="0" * 12)


def with_other_meta(record: Record, key: SigningKey, stranger: SigningKey) -> Record:
    return replace(record, meta=record.meta | {"seed": 8})


@pytest.mark.parametrize(
    "forged",
    [
        unsigned,
        with_a_foreign_key,
        with_a_foreign_key_under_our_name,
        with_our_signature_of_another_model,
        with_a_changed_byte,
        with_another_cohort,
        with_other_meta,
        under_the_name_of_another_version,
    ],
)
def test_nothing_of_a_model_is_unpickled_that_nobody_trusted_signed_as_it_is(
    forged, tmp_path, key, harm, migrated_urls
) -> None:
    stranger = signing.local_key(tmp_path / "elsewhere", tmp_path / "their-trust")
    record = forged(a_model(key, pickled(harm)), key, stranger)
    with connect(migrated_urls.app, name="test") as connection:
        PostgresShelf(connection).put(record)
    settings = Settings(database_url=migrated_urls.app, trust_keys=tmp_path / "trusted")
    with pytest.raises(SignatureRefused, match=f"model {record.version}: "):
        VerifiedModels(settings).failure_model(record.version)
    assert not harm.exists()


def test_a_model_of_other_libraries_is_refused_in_words_that_tell_what_to_do(
    tmp_path, key, trusted, harm, monkeypatch
) -> None:
    past = registry.libraries() | {"numpy": "1.26.4"}
    monkeypatch.setattr(registry, "libraries", lambda: past)
    record = a_model(key, pickled(harm))
    monkeypatch.undo()
    with pytest.raises(LibraryMismatch) as refusal:
        opened(record, trusted)
    told = str(refusal.value)
    assert told.startswith(f"model {record.version} was made with numpy 1.26.4, and ")
    assert told.endswith("is installed: install that version, or train anew")


def test_a_patch_release_of_a_library_is_no_other_library(key, trusted, monkeypatch) -> None:
    here = registry.libraries()
    patched = here | {"numpy": f"{here['numpy']}.9"}
    monkeypatch.setattr(registry, "libraries", lambda: patched)
    record = a_model(key, b"artefact")
    monkeypatch.undo()
    assert opened(record, trusted) == b"artefact"


def test_what_is_honest_but_no_model_is_told_apart(key, trusted) -> None:
    record = a_model(key, pickle.dumps({"not": "a model"}))
    with pytest.raises(WrongPayload):
        FailureModel.load(opened(record, trusted))
