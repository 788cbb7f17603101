"""Local accounts, sessions and tokens of programs.

People's passwords are kept as argon2id; a cookie's and a program's token are 256 random bits each
and kept as SHA-256, since there is nothing to guess in them.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api import throttle
from api.roles import Permission, Role, permissions_of
from foremend.db import Queries

if TYPE_CHECKING:
    import psycopg

    DictConnection = psycopg.Connection[dict[str, Any]]

_SQL: Final = Queries.load("api", "access.sql")
LONGEST_LOGIN: Final = 128
LONGEST_PASSWORD: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks, as far as routes need to know."""

    id: int
    login: str
    tenant: str
    role: Role
    region: str | None = None
    """The one region whose rows it sees; None for all of the tenant's."""
    locale: str = "en"
    time_zone: str = "UTC"

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that the role allows."""
        return permissions_of(self.role)

    def may(self, permission: Permission) -> bool:
        """Tell whether the role has the permission."""
        return permission in self.permissions


class Passwords:
    """Argon2id, at most two at a time: each verification takes 64 MiB and some 100 ms."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.Semaphore(2)
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """Give what is kept of a password."""
        return self._hasher.hash(password)

    def verify(self, kept: str | None, password: str) -> bool:
        """Compare; takes as long for an account that does not exist (`kept` is None)."""
        with self._turn:
            try:
                self._hasher.verify(kept or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def outdated(self, kept: str) -> bool:
        """Tell whether it was hashed with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)


def token_hash(token: str) -> str:
    """Give what is kept of a token: SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Give 256 random bits in URL-safe base64."""
    return secrets.token_urlsafe(32)


def form_token(session_token: str) -> str:
    """Give the token that forms of this session carry; it tells nothing of the cookie's."""
    return hashlib.sha256(b"foremend form\x00" + session_token.encode()).hexdigest()


def failures_of(connection: DictConnection, login: str, address: str) -> throttle.Failures:
    """Count the failed attempts within the throttle's window."""
    row = connection.execute(
        _SQL["count_failures"],
        {"login": login, "address": address, "minutes": throttle.WINDOW_MINUTES},
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups gives one row
    return throttle.Failures(**row)


def verified(
    connection: DictConnection, passwords: Passwords, login: str, password: str
) -> User | None:
    """Give the account whose login and password these are."""
    row = connection.execute(_SQL["account_by_login"], {"login": login}).fetchone()
    kept = row["password_hash"] if row else None
    if not passwords.verify(kept, password) or row is None:
        return None
    if passwords.outdated(row["password_hash"]):
        new = passwords.hash(password)
        connection.execute(_SQL["rehash"], {"id": row["id"], "password_hash": new})
    return _user(row)


def note_failure(connection: DictConnection, login: str, address: str) -> None:
    """Count one more failed attempt."""
    connection.execute(_SQL["note_failure"], {"login": login, "address": address})


def open_session(connection: DictConnection, user: User, address: str) -> str:
    """Begin a session and give its cookie's token; expired ones are cleared away."""
    token = new_token()
    connection.execute(_SQL["forget_old"])
    connection.execute(_SQL["forgive_failures"], {"login": user.login, "address": address})
    connection.execute(_SQL["open_session"], {"token_hash": token_hash(token), "user_id": user.id})
    return token


def close_session(connection: DictConnection, token: str) -> None:
    """End a session."""
    connection.execute(_SQL["close_session"], {"token_hash": token_hash(token)})


def by_cookie(connection: DictConnection, token: str) -> User | None:
    """Give the account of a session that still lasts, and let it last on."""
    key = {"token_hash": token_hash(token)}
    row = connection.execute(_SQL["account_by_session"], key).fetchone()
    if row is None:
        return None
    if row.pop("stale"):
        connection.execute(_SQL["extend_session"], key)
    return _user(row)


def by_bearer(connection: DictConnection, token: str) -> User | None:
    """Give the account of a program's token."""
    row = connection.execute(_SQL["account_by_token"], {"token_hash": token_hash(token)}).fetchone()
    return None if row is None else _user(row)


def _user(row: dict[str, Any]) -> User:
    fields = ("id", "login", "tenant", "region", "locale", "time_zone")
    return User(role=Role(row["role"]), **{name: row[name] for name in fields})
