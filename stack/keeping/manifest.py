"""What a backup says of itself, and whether it may be restored somewhere; pure but for its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation at run time
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

FORMAT: Final = 1
FILE: Final = "manifest.json"
DUMP: Final = "dump"

HOLDS: Final = (
    "what devices said: frames, rollups, events, receipts, gaps, quarantine, the input log",
    "what was made of it: scoring's snapshots, models with their signatures, alerts, work orders",
    "who may do what: people's accounts, devices' credentials, webhooks, the audit chain",
)
LEAVES_OUT: Final = (
    "the keys folder: the signing key and the passwords of the database; keep it apart",
    "DATA_DIR/keys/trusted: copy it beside the restored data, or no model there is trusted",
    "the database's roles: a restore into a data folder makes them anew",
    "the broker's state and the agents' outboxes: agents send again what was not acknowledged",
    "settings and logs",
)


class BackupUnusable(ForemendError):
    """This folder is no backup, or one that this version cannot read."""


class RestoreRefused(ForemendError):
    """The backup cannot be restored there; nothing was changed."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One table's rows, and a hash that does not ask in which order they lie."""

    rows: int
    hash: str
    """32 hexadecimal digits: two sums of PostgreSQL's own 64-bit row hashes."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    made_at: datetime
    schema: str
    """The newest migration."""
    postgresql: int
    """The major version."""
    layout: str
    timescaledb: str | None
    tables: dict[str, Content]
    sequences: dict[str, int | None]
    holds: tuple[str, ...] = HOLDS
    leaves_out: tuple[str, ...] = LEAVES_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a backup would be restored."""

    postgresql: int
    newest_schema: str
    """The newest migration that this version of Foremend knows."""
    tables: Collection[str]
    missing_roles: Collection[str]
    superuser: bool
    """Whether it would be restored as one."""
    timescaledb: Collection[str]
    """The versions that the server offers."""


class Refusal(Enum):
    """Why a backup is not restored."""

    NEWER_SCHEMA = "it was made by a newer Foremend (schema {theirs}, this one knows {ours})"
    OTHER_MAJOR = "it was made by PostgreSQL {theirs}, and the target runs {ours}"
    NOT_EMPTY = "the target holds tables already ({ours}): name an empty database"
    NO_ROLES = "the target's server has no role {ours}: create it, or restore with --data-dir"
    NO_SUPERUSER = "TimescaleDB lets only a superuser restore its tables: name one's URL"
    NO_TIMESCALEDB = "its frames lie in TimescaleDB {theirs}, and the target's server offers {ours}"


def refusal_of(manifest: Manifest, target: Target) -> str | None:
    """Say why a backup must not be restored there; None where it may."""
    told = None
    if manifest.schema > target.newest_schema:
        told = Refusal.NEWER_SCHEMA, manifest.schema, target.newest_schema
    elif manifest.postgresql != target.postgresql:
        told = Refusal.OTHER_MAJOR, str(manifest.postgresql), str(target.postgresql)
    elif target.tables:
        told = Refusal.NOT_EMPTY, "", ", ".join(sorted(target.tables)[:3])
    elif target.missing_roles:
        told = Refusal.NO_ROLES, "", " and ".join(sorted(target.missing_roles))
    elif manifest.timescaledb is not None and manifest.timescaledb not in target.timescaledb:
        offered = ", ".join(sorted(target.timescaledb)) or "none"
        told = Refusal.NO_TIMESCALEDB, manifest.timescaledb, offered
    elif manifest.timescaledb is not None and not target.superuser:
        told = Refusal.NO_SUPERUSER, "", ""
    if told is None:
        return None
    refusal, theirs, ours = told
    return refusal.value.format(theirs=theirs, ours=ours)


def differences(manifest: Manifest, found: Mapping[str, Content]) -> list[str]:
    """Name the tables whose rows differ from what the backup says of them."""
    names = sorted(manifest.tables.keys() | found.keys())
    return [
        f"{name}: {_words(manifest.tables.get(name))} in the backup, {_words(found.get(name))} here"
        for name in names
        if manifest.tables.get(name) != found.get(name)
    ]


def behind(manifest: Manifest, found: Mapping[str, int | None]) -> list[str]:
    """Name the sequences that would give a number again.

    Sequences stand outside transactions: where the services run meanwhile, the dump has them
    further on than the manifest, which does no harm.
    """
    return [
        f"the sequence {name} stands at {found.get(name)} and was at {told}"
        for name, told in manifest.sequences.items()
        if (found.get(name) or 0) < (told or 0)
    ]


def read(folder: Path) -> Manifest:
    """Read the manifest of a backup.

    Raises:
        BackupUnusable: there is none, or it cannot be read here.
    """
    try:
        manifest = msgspec.json.decode((folder / FILE).read_bytes(), type=Manifest)
    except OSError as error:
        raise BackupUnusable(f"{folder} is no backup: it has no {FILE}") from error
    except msgspec.DecodeError as error:
        raise BackupUnusable(f"{folder / FILE} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupUnusable(
            f"{folder} is written in format {manifest.format}, and this version reads {FORMAT}"
        )
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a backup, for people as well."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / FILE).write_bytes(text + b"\n")


def _words(content: Content | None) -> str:
    return "none" if content is None else f"{content.rows} rows ({content.hash[:8]})"
