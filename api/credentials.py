"""Devices' own credentials: made against a claim token, renewed, revoked, listed.

A token and a login both name the tenant, so that no row of another is ever looked at.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from api import claims
from api.claims import Action, Claim
from api.problems import ClaimRefused, SignInRequired
from foremend.db import Queries
from foremend.device_secrets import mosquitto_hash, new_secret, secret_hash
from foremend.errors import NotFound
from foremend.values import ID_PATTERN

if TYPE_CHECKING:
    import psycopg

    DictConnection = psycopg.Connection[dict[str, Any]]

_SQL: Final = Queries.load("api", "credentials.sql")
_SALT: Final = 12
"""Bytes, as mosquitto_passwd takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a token or a login says before anything is looked up."""

    tenant: str
    rest: str


def named(text: str) -> Named | None:
    """Split `REST@TENANT`; None where no tenant can be meant.

    >>> named("printer-01@demo")
    Named(tenant='demo', rest='printer-01')
    """
    rest, at, tenant = text.rpartition("@")
    return Named(tenant=tenant, rest=rest) if at and ID_PATTERN.match(tenant) else None


def make_claim(
    connection: DictConnection, *, tenant: str, device: str, seconds: float, made_by: str
) -> str:
    """Make a token that lets one device enrol, and give it; it is not kept.

    Raises:
        ClaimRefused: `device` is neither a device's name nor the beginning of names and `*`.
    """
    if not claims.is_pattern(device):
        raise ClaimRefused(f"{device!r} is neither a device's name nor its beginning with a *")
    token = f"{new_secret()}@{tenant}"
    connection.execute(_SQL["forget_claims"])
    connection.execute(
        _SQL["add_claim"],
        {
            "token_hash": secret_hash(token),
            "tenant": tenant,
            "device": device,
            "made_by": made_by,
            "seconds": seconds,
        },
    )
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A device's new credentials."""

    tenant: str
    device: str
    login: str
    secret: str
    again: bool = False
    """Whether this only repeats what was done before."""


def enrol(
    connection: DictConnection, *, tenant: str, token: str, device: str | None, secret: str | None
) -> Enrolled:
    """Make a device's credentials against a token, once; the caller's transaction is `tenant`'s.

    A device that chooses its own secret may repeat the request until it has heard the answer.

    Raises:
        ClaimRefused: the token is not known, used, expired, or for another device.
    """
    key = {"token_hash": secret_hash(token)}
    row = connection.execute(_SQL["claim"], key).fetchone()
    claim = None if row is None else _claim(row)
    name = device or (claim.device if claim and claim.exact else "")
    chosen = secret or new_secret()
    whose = {"tenant": tenant, "device": name}
    decision = claims.decide(
        claim,
        device=name,
        secret_hash=secret_hash(chosen),
        enrolled=_exists(connection, "is_enrolled", whose),
        now=datetime.now(UTC),
    )
    if decision.action is Action.REFUSE or claim is None or not ID_PATTERN.match(name):
        raise ClaimRefused(f"no credentials for this token: {decision.reason.value}")
    again = decision.action is Action.ANSWER_AGAIN
    if not again:
        hashed = {"secret_hash": secret_hash(chosen)}
        _put(connection, whose, chosen, replace=claim.exact)
        connection.execute(_SQL["use_claim"], {**key, **whose, **hashed})
    return Enrolled(
        tenant=tenant, device=name, login=f"{name}@{tenant}", secret=chosen, again=again
    )


def renew(connection: DictConnection, *, tenant: str, device: str, secret: str, new: str) -> None:
    """Take a device's new secret instead of its present one.

    Raises:
        SignInRequired: no such device, revoked, or another secret.
    """
    whose = {"tenant": tenant, "device": device, **_hashes(new, "new_hash")}
    proven = {**whose, "secret_hash": secret_hash(secret)}
    if connection.execute(_SQL["renew"], proven).fetchone() is None and not _exists(
        connection, "is_current", whose
    ):
        raise SignInRequired("no such device, or not its secret")


def rotate(connection: DictConnection, *, tenant: str, device: str) -> str:
    """Give a device a new secret, and shut out whoever has the old one.

    Raises:
        NotFound: the device has no credentials that hold.
    """
    secret = new_secret()
    whose = {"tenant": tenant, "device": device, **_hashes(secret, "secret_hash")}
    if connection.execute(_SQL["rotate"], whose).fetchone() is None:
        raise NotFound(f"{device!r} has no credentials that hold")
    return secret


def revoke(connection: DictConnection, *, tenant: str, device: str) -> None:
    """Shut a device out; it is cut off as soon as the gate hears of it.

    Raises:
        NotFound: the device has no credentials that hold.
    """
    row = connection.execute(_SQL["revoke"], {"tenant": tenant, "device": device}).fetchone()
    if row is None:
        raise NotFound(f"{device!r} has no credentials that hold")


def listed(
    connection: DictConnection, *, tenant: str, after: str | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Give what is known of the tenant's credentials, by device; no secret is among it."""
    wanted = {"tenant": tenant, "after": after, "limit": limit}
    return connection.execute(_SQL["list"], wanted).fetchall()


def _put(connection: DictConnection, whose: dict[str, str], secret: str, *, replace: bool) -> None:
    row = {**whose, **_hashes(secret, "secret_hash"), "replace": replace}
    if connection.execute(_SQL["put"], row).fetchone() is None:
        # Another token enrolled it at this very moment.
        raise ClaimRefused(f"no credentials for this token: {claims.Reason.DEVICE_ENROLLED.value}")


def _hashes(secret: str, name: str) -> dict[str, Any]:
    salted = mosquitto_hash(secret, secrets.token_bytes(_SALT))
    return {name: secret_hash(secret), "mosquitto_hash": salted}


def _claim(row: dict[str, Any]) -> Claim:
    used = row["used_secret"]
    return Claim(**{**row, "used_secret": None if used is None else bytes(used)})


def _exists(connection: DictConnection, block: str, values: dict[str, Any]) -> bool:
    row = connection.execute(_SQL[block], values).fetchone()
    return bool(row and next(iter(row.values())))
