"""What is set up about accounts from the command line."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from api.accounts import Passwords, new_token, token_hash
from api.roles import Role
from foremend.db import Queries
from foremend.errors import Conflict

if TYPE_CHECKING:
    import psycopg

ADMIN_LOGIN: Final = "admin"
_SQL: Final = Queries.load("api", "access.sql")
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is easily mistaken when it is read from a terminal."""


def ensure_admin(
    connection: psycopg.Connection[Any], tenant: str, *, passwords: Passwords | None = None
) -> str | None:
    """Make the tenant's one local administrator; gives the password, once.

    None where the tenant has one. The login is `admin`, or `admin-TENANT` where another tenant has
    that. The connection's row type does not matter.
    """
    with connection.transaction():
        if _exists(connection, "has_local_admin", tenant=tenant):
            return None
        taken = _exists(connection, "login_taken", login=ADMIN_LOGIN)
        password = new_password()
        cursor = connection.execute(
            _SQL["add_account"],
            {
                "tenant": tenant,
                "login": f"{ADMIN_LOGIN}-{tenant}" if taken else ADMIN_LOGIN,
                "password_hash": (passwords or Passwords()).hash(password),
                "role": Role.ADMIN.value,
            },
        )
        # Two set-ups at one time: the one that came second tells no password.
        return password if cursor.rowcount else None


def ensure_token(
    connection: psycopg.Connection[Any], tenant: str, login: str, role: Role | str
) -> str:
    """Make or renew a program's account and give its bearer token; the token before is void.

    Raises:
        Conflict: the login is a person's, or another tenant's.
    """
    token = new_token()
    row = connection.execute(
        _SQL["set_token"],
        {
            "tenant": tenant,
            "login": login,
            "token_hash": token_hash(token),
            "role": Role(role).value,
        },
    ).fetchone()
    if row is None:
        raise Conflict(f"the login {login!r} is a person's or another tenant's")
    return token


def new_password() -> str:
    """Give a password of some 79 random bits that can be typed from a screen."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def _exists(connection: psycopg.Connection[Any], block: str, **values: str) -> bool:
    row = connection.execute(_SQL[block], values).fetchone()
    return bool(next(iter(row.values())) if isinstance(row, dict) else row and row[0])
