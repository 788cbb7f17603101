"""The model registry: content-addressed artefacts, signed, of which one a cohort is in force.

A version is the first 12 hexadecimal digits of its artefact's SHA-256. The signature covers digest,
kind, cohort and meta, and is checked before a byte of the artefact is unpickled. Stages are
shadow -> champion -> retired.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg.types.json import Jsonb

from foremend.db import Queries
from foremend.errors import Conflict, ForemendError, NotFound, Remedy, SignatureRefused
from models.signing import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.db import Connection
    from models.signing import SigningKey, Trusted

LIBRARIES: Final = ("scikit-learn", "numpy", "river", "joblib")
"""Whose versions must be those that an artefact was made with; patch releases may differ."""
_SQL: Final = Queries.load("models", "registry.sql")


class LibraryMismatch(ForemendError):
    """This model was made with other library versions: train it anew."""

    remedy = Remedy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One version with all that is known of it."""

    version: str
    kind: str
    cohort: str
    stage: str
    sha256: str
    artefact: bytes
    kid: str
    signature: bytes
    meta: dict[str, Any]
    replaces: str | None = None


class Shelf(Protocol):
    """Keeps records; at most one champion a kind and cohort."""

    def put(self, record: Record) -> None:
        """Keep a new version as a shadow; the same version again is nothing."""

    def get(self, version: str) -> Record:
        """Give a version; raises NotFound."""

    def champion(self, kind: str, cohort: str) -> str | None:
        """Give the version in force."""

    def listed(self) -> list[Record]:
        """Give every version without its artefact, oldest first within a kind and cohort."""

    def crown(self, version: str, *, remember: bool) -> None:
        """Put a version in force and retire the one before, all or nothing; raises NotFound.

        With `remember` the retired version is what a rollback goes back to; without, the version
        keeps what it once replaced itself. A version already in force stays as it is.
        """


def seal(
    artefact: bytes, *, kind: str, cohort: str, meta: Mapping[str, Any], key: SigningKey
) -> Record:
    """Sign an artefact; its meta gains the versions of libraries and code that made it."""
    sha256 = hashlib.sha256(artefact).hexdigest()
    told = _plain(dict(meta) | {"libraries": libraries(), "code": code_version()})
    text = signed_text(sha256=sha256, kind=kind, cohort=cohort, meta=told)
    return Record(
        version=_version(sha256),
        kind=kind,
        cohort=cohort,
        stage="shadow",
        sha256=sha256,
        artefact=artefact,
        kid=key.kid,
        signature=key.sign(text),
        meta=told,
    )


def opened(record: Record, trusted: Trusted) -> bytes:
    """Give the artefact's bytes, which may be unpickled from here on.

    Raises:
        SignatureRefused: not signed by a trusted key, or changed since.
        LibraryMismatch: made with other library versions than these.
    """
    text = signed_text(
        sha256=record.sha256, kind=record.kind, cohort=record.cohort, meta=record.meta
    )
    try:
        verify(text, kid=record.kid, signature=record.signature, trusted=trusted)
    except SignatureRefused as refusal:
        raise SignatureRefused(f"model {record.version}: {refusal}") from refusal
    if hashlib.sha256(record.artefact).hexdigest() != record.sha256:
        raise SignatureRefused(f"model {record.version}: the artefact is not the one signed")
    if record.version != _version(record.sha256):
        raise SignatureRefused(f"model {record.version}: this is {_version(record.sha256)}")
    _refuse_other_libraries(record)
    return record.artefact


def promote(shelf: Shelf, version: str) -> Record:
    """Put a version in force; the one that was is retired and remembered for a rollback.

    Raises:
        NotFound: no such version.
    """
    shelf.crown(version, remember=True)
    return shelf.get(version)


def roll_back(shelf: Shelf, kind: str, cohort: str) -> Record:
    """Put back the version that the present champion replaced.

    Raises:
        Conflict: there is no champion, or it replaced nothing.
    """
    standing = shelf.champion(kind, cohort)
    before = shelf.get(standing).replaces if standing else None
    if before is None:
        raise Conflict(f"no earlier {kind} model of {cohort} to go back to")
    shelf.crown(before, remember=False)
    return shelf.get(before)


def signed_text(*, sha256: str, kind: str, cohort: str, meta: Mapping[str, Any]) -> bytes:
    """Give the one spelling of what a signature covers."""
    told = {"sha256": sha256, "kind": kind, "cohort": cohort, "meta": meta}
    spelt = json.dumps(_plain(told), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return spelt.encode()


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is of any type
    """Give JSON's value as every store gives it back.

    Keys are texts, whole numbers integers, and what is no number at all is nothing: a database
    keeps 1e20 as an integer, no minus zero, and has no word for NaN.
    """
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def libraries() -> dict[str, str]:
    """Give the versions of the libraries that artefacts depend on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _version(sha256: str) -> str:
    return sha256[:12]


def code_version() -> str:
    """Give the version of this code, as far as it is installed."""
    try:
        return importlib.metadata.version("foremend")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _refuse_other_libraries(record: Record) -> None:
    here, then = libraries(), record.meta.get("libraries", {})
    for name in LIBRARIES:
        if _minor(here[name]) != _minor(str(then.get(name, ""))):
            raise LibraryMismatch(
                f"model {record.version} was made with {name} {then.get(name, 'unknown')}, "
                f"and {here[name]} is installed: install that version, or train anew"
            )


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


class MemoryShelf:
    """A shelf that ships for tests and backtests: it answers as the database does, and forgets."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def put(self, record: Record) -> None:
        """Keep a new version as a shadow."""
        self._records.setdefault(record.version, replace(record, stage="shadow"))

    def get(self, version: str) -> Record:
        """Give a version."""
        try:
            return self._records[version]
        except KeyError:
            raise NotFound(f"there is no model {version}") from None

    def champion(self, kind: str, cohort: str) -> str | None:
        """Give the version in force."""
        wanted = (kind, cohort, "champion")
        return next(
            (r.version for r in self._records.values() if (r.kind, r.cohort, r.stage) == wanted),
            None,
        )

    def listed(self) -> list[Record]:
        """Give every version without its artefact."""
        ordered = sorted(self._records.values(), key=lambda r: (r.kind, r.cohort))
        return [replace(r, artefact=b"") for r in ordered]

    def crown(self, version: str, *, remember: bool) -> None:
        """Put a version in force and retire the one before."""
        record = self.get(version)
        standing = self.champion(record.kind, record.cohort)
        if standing == version:
            return
        if standing is not None:
            self._records[standing] = replace(self._records[standing], stage="retired")
        before = standing if remember and standing is not None else record.replaces
        self._records[version] = replace(record, stage="champion", replaces=before)


class PostgresShelf:
    """The shelf in table `model_version`; each change inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, record: Record) -> None:
        """Keep a new version as a shadow."""
        self._connection.execute(
            _SQL["put"],
            {
                "version": record.version,
                "kind": record.kind,
                "cohort": record.cohort,
                "sha256": record.sha256,
                "artefact": record.artefact,
                "kid": record.kid,
                "signature": record.signature,
                "meta": Jsonb(record.meta),
            },
        )

    def get(self, version: str) -> Record:
        """Give a version."""
        row = self._connection.execute(_SQL["get"], {"version": version}).fetchone()
        if row is None:
            raise NotFound(f"there is no model {version}")
        return _record(row)

    def champion(self, kind: str, cohort: str) -> str | None:
        """Give the version in force."""
        asked = {"kind": kind, "cohort": cohort}
        row = self._connection.execute(_SQL["champion"], asked).fetchone()
        return None if row is None else str(row[0])

    def listed(self) -> list[Record]:
        """Give every version without its artefact."""
        return [_record(row) for row in self._connection.execute(_SQL["list"])]

    def crown(self, version: str, *, remember: bool) -> None:
        """Put a version in force and retire the one before."""
        record = self.get(version)
        asked = {"kind": record.kind, "cohort": record.cohort}
        with self._connection.transaction():
            self._connection.execute(_SQL["lock"], asked)
            standing = self.champion(record.kind, record.cohort)
            if standing == version:
                return
            self._connection.execute(_SQL["retire"], asked)
            replaces = standing if remember else None
            self._connection.execute(_SQL["crown"], {"version": version, "replaces": replaces})


def _record(row: tuple[Any, ...]) -> Record:
    version, kind, cohort, stage, sha256, artefact, kid, signature, meta, replaces = row
    return Record(
        version=version,
        kind=kind,
        cohort=cohort,
        stage=stage,
        sha256=sha256,
        artefact=bytes(artefact),
        kid=kid,
        signature=bytes(signature),
        meta=meta,
        replaces=replaces,
    )
