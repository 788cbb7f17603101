"""Letting devices in, and shutting them out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stack.commands.terms import JsonOption, seconds, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from foremend.settings import Settings

commands: Final = typer.Typer()
device: Final = typer.Typer(help="Let devices in, renew their secrets, shut them out.")
commands.add_typer(device, name="device")

Name = Annotated[str, typer.Argument(help="the device's name")]
Tenant = Annotated[str | None, typer.Option(help="default: FOREMEND_TENANT")]


@device.command()
def claim(
    name: Annotated[str, typer.Argument(help="a device's name, or its beginning with a *")],
    *,
    expires: Annotated[str, typer.Option(help="how long the token may wait to be used")] = "24h",
    tenant: Tenant = None,
) -> None:
    """Print a token, once, by which one device can enrol."""
    from api.credentials import make_claim

    with work(tenant) as (connection, whose):
        token = make_claim(
            connection,
            tenant=whose,
            device=name,
            seconds=seconds(expires),
            made_by="command line",
        )
        _note(connection, whose, "device.claim", name)
    typer.echo(token)


@device.command(name="list")
def listed(*, tenant: Tenant = None, as_json: JsonOption = False) -> None:
    """List the devices that may come in, or no longer."""
    from api.credentials import listed as rows_of

    with work(tenant) as (connection, whose):
        rows = rows_of(connection, tenant=whose)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(rows).decode())
        return
    if not rows:
        typer.echo("no device has credentials yet; `foremend device claim NAME` lets one in")
    for row in rows:
        revoked, changed = row["revoked_at"], row["changed_at"]
        state = f"revoked {revoked:%F %T}" if revoked else f"may come in since {changed:%F %T}"
        typer.echo(f"{row['login']:<40} {state}")


@device.command()
def rotate(name: Name, *, tenant: Tenant = None) -> None:
    """Give a device a new secret, print it once, and cut off who came in by the old one."""
    from api.credentials import rotate as renewed

    with work(tenant) as (connection, whose):
        secret = renewed(connection, tenant=whose, device=name)
        _note(connection, whose, "device.rotate", name)
    typer.echo(secret)


@device.command()
def revoke(name: Name, *, tenant: Tenant = None) -> None:
    """Shut a device out; the gate cuts it off as soon as it hears of it."""
    from api.credentials import revoke as shut_out

    with work(tenant) as (connection, whose):
        shut_out(connection, tenant=whose, device=name)
        _note(connection, whose, "device.revoke", name)
    typer.echo(f"{name} is shut out")


@contextmanager
def work(tenant: str | None) -> Iterator[tuple[psycopg.Connection[dict[str, Any]], str]]:
    """Run one transaction of the tenant, on the database that the settings or an `up` name."""
    from psycopg.rows import dict_row

    from foremend.db import connect, transaction

    told = settings_of("device")
    whose = tenant or told.tenant
    with connect(database_url(told), name="device") as link:
        link.row_factory = dict_row  # type: ignore[assignment]
        with transaction(link, tenant=whose):
            yield link, whose  # type: ignore[misc]


def database_url(told: Settings) -> str:
    """Give the runtime role's URL: the setting, or that of the `foremend up` that runs here."""
    from stack.running import app_url

    url = told.database_url.get_secret_value() or app_url(told.data_dir)
    if not url:
        raise typer.BadParameter(
            "set FOREMEND_DATABASE_URL, or FOREMEND_DATA_DIR to the folder of a running `up`"
        )
    return url


def _note(
    connection: psycopg.Connection[dict[str, Any]], tenant: str, action: str, name: str
) -> None:
    from api import audit

    audit.note(connection, tenant=tenant, actor="command line", action=action, subject=name)
