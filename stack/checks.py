"""What can be wrong with an installation, judged from plain facts; nothing is looked up here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from stack.embedded.mqtt_probe import Answer
from stack.embedded.pg_install import BIN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLDEST_PYTHON: Final = (3, 11)
MIB: Final = 1024**2
LITTLE_DISK, TOO_LITTLE_DISK = 5 * 1024 * MIB, 500 * MIB
OTHERS_MAY_WRITE: Final = 0o022


class Verdict(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence about one thing: what is, and where that is wrong, what to do."""

    subject: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The data folder, as found."""

    path: Path
    exists: bool
    owner: int | None = None
    mode: int = 0
    refusal: str | None = None
    """Why it cannot be used: written by something else, or by another version."""
    used_by: int | None = None
    """The process that holds its lock."""
    free: int = 0
    """Bytes, where the folder is or would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The servers that come along, as found."""

    postgres: str | None
    """Where it is, with its version; None when there is none."""
    postgres_refusal: str = ""
    timescaledb: str | None = None
    runs_as: int | None = None
    """The uid that PostgreSQL is changed to; None runs it as ourselves."""
    runs_in_place: bool = True
    """Whether that user can run the programs where they are."""
    broker: str | None = None
    broker_refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that one of our own servers listens on."""

    number: int
    purpose: str
    free: bool
    holder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database that was given by its address."""

    refusal: str | None = None
    revision: str | None = None
    wanted: str = ""
    timescaledb: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker that was given by its address."""

    address: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks look at."""

    python: tuple[int, int]
    euid: int
    folder: Folder
    programs: Programs
    ports: tuple[Port, ...] = ()
    database: Database | None = None
    """None: the embedded one is used."""
    broker: Broker | None = None


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """Run every check that applies."""
    findings = (check(facts) for check in CHECKS)
    return (*(f for f in findings if f is not None), *(_port(port, facts) for port in facts.ports))


def _python(facts: Facts) -> Finding:
    found, wanted = (".".join(map(str, v)) for v in (facts.python, OLDEST_PYTHON))
    if facts.python >= OLDEST_PYTHON:
        return _ok("python", f"Python {found}.")
    return _fail("python", f"Python {found} is too old; install Python {wanted} or newer.")


def _postgres(facts: Facts) -> Finding:
    found = facts.programs
    if found.postgres is not None:
        return _ok("postgres", f"PostgreSQL {found.postgres}.")
    if facts.database is not None:
        return _ok("postgres", "None is installed here, and the given database makes it needless.")
    return _fail("postgres", found.postgres_refusal)


def _postgres_user(facts: Facts) -> Finding | None:
    found = facts.programs
    if facts.database is not None or found.postgres is None:
        return None
    if found.runs_as is None:
        return _ok("postgres user", f"PostgreSQL runs as this user (uid {facts.euid}).")
    user = f"Foremend runs as root, so PostgreSQL is started as uid {found.runs_as}"
    if found.runs_in_place:
        return _ok("postgres user", f"{user}.")
    return _warn(
        "postgres user",
        f"{user}, who may not run its programs where they are; a copy is kept in /var/cache. "
        "Install outside of /root, or start as an ordinary user, to do without.",
    )


def _timescaledb(facts: Facts) -> Finding:
    given = facts.database
    version = facts.programs.timescaledb if given is None else given.timescaledb
    if version is not None:
        return _ok("timescaledb", f"TimescaleDB {version}.")
    advice = (
        f"set {BIN_VARIABLE} to the programs of a PostgreSQL that has it"
        if given is None
        else "install it on the database server"
    )
    return _warn(
        "timescaledb", f"Not found: frames go to plain partitions, uncompressed; {advice}."
    )


def _mqtt_program(facts: Facts) -> Finding:
    found = facts.programs
    if found.broker is not None:
        return _ok("broker program", f"{found.broker}.")
    if facts.broker is not None:
        return _ok("broker program", "None is installed here, and the given broker is used.")
    return _fail("broker program", found.broker_refusal)


def _folder(facts: Facts) -> Finding:
    folder = facts.folder
    if folder.refusal is not None:
        return _fail("data folder", folder.refusal)
    if not folder.exists:
        return _ok("data folder", f"{folder.path} will be made at the first start.")
    if folder.used_by is not None:
        return _ok("data folder", f"Foremend runs on {folder.path} now (pid {folder.used_by}).")
    if facts.euid not in (0, folder.owner):
        return _fail(
            "data folder",
            f"{folder.path} belongs to uid {folder.owner} and this is uid {facts.euid}; start "
            "as its owner, or choose another folder with --data-dir.",
        )
    if folder.mode & OTHERS_MAY_WRITE:
        return _warn(
            "data folder",
            f"Other users may write to {folder.path}; take that right away with "
            f"`chmod go-w {folder.path}`.",
        )
    return _ok("data folder", f"{folder.path} is ours.")


def _disk(facts: Facts) -> Finding:
    free, place = facts.folder.free, facts.folder.path
    have = f"{free // MIB} MiB are free at {place}"
    if free < TOO_LITTLE_DISK:
        return _fail(
            "disk", f"Only {have} and {TOO_LITTLE_DISK // MIB} are needed; free some space."
        )
    if free < LITTLE_DISK:
        return _warn("disk", f"Only {have}; telemetry will fill that, so make room soon.")
    return _ok("disk", f"{have}.")


def _database(facts: Facts) -> Finding | None:
    given = facts.database
    if given is None:
        return None
    if given.refusal is not None:
        return _fail("database", f"{given.refusal}; check FOREMEND_DATABASE_URL and the server.")
    if given.revision == given.wanted:
        return _ok("database", f"It answers, and its schema is current ({given.revision}).")
    stands = f"stands at revision {given.revision}" if given.revision else "has no schema yet"
    return _fail("database", f"It answers but {stands}; bring it to {given.wanted} by migrating.")


def _given_broker(facts: Facts) -> Finding | None:
    given = facts.broker
    if given is None:
        return None
    match given.answer:
        case Answer.ACCEPTED:
            return _ok("broker", f"{given.address} lets us in.")
        case Answer.BAD_LOGIN | Answer.NOT_ALLOWED:
            return _fail(
                "broker",
                f"{given.address} refuses our login; check FOREMEND_BROKER_USER and "
                "FOREMEND_BROKER_PASSWORD.",
            )
        case _:
            return _fail(
                "broker",
                f"Nothing at {given.address} answers as an MQTT broker; check "
                "FOREMEND_BROKER_HOST, FOREMEND_BROKER_PORT and the broker.",
            )


def _port(port: Port, facts: Facts) -> Finding:
    subject = f"port {port.number}"
    if port.free:
        return _ok(subject, f"Free for {port.purpose}.")
    if facts.folder.used_by is not None:
        return _ok(subject, f"In use; Foremend itself runs (pid {facts.folder.used_by}).")
    return _fail(
        subject,
        f"Taken by {port.holder or 'another program'} and needed for {port.purpose}; stop that "
        "program or choose another port.",
    )


CHECKS: Final[tuple[Callable[[Facts], Finding | None], ...]] = (
    _python,
    _postgres,
    _postgres_user,
    _timescaledb,
    _mqtt_program,
    _folder,
    _disk,
    _database,
    _given_broker,
)


def _ok(subject: str, sentence: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.OK, sentence=sentence)


def _warn(subject: str, sentence: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.WARN, sentence=sentence)


def _fail(subject: str, sentence: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.FAIL, sentence=sentence)
