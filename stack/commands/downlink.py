"""Commands to devices, and how they should be set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from stack.commands.devices import Name, Tenant, work
from stack.commands.terms import JsonOption, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

commands: Final = typer.Typer()
command: Final = typer.Typer(help="Have a device do something, once.")
twin: Final = typer.Typer(help="How a device should be set, and how it says that it is.")
commands.add_typer(command, name="command")
commands.add_typer(twin, name="twin")

ASKED_BY: Final = "command line"
OPEN: Final = ("queued", "sent", "accepted")
_IN_WORDS: Final = {
    "unknown_kind": "this device cannot do that; docs/devices/ says what each kind of device can",
    "forbidden_phase": "not while the device does what it does now; docs/devices/ says when",
    "expired": "it did not reach the device in time: is it online?",
    "clock_not_trusted": "the device does not trust its clock yet",
}
"""Why a command came to nothing; what has no entry is said as the device said it."""
Timeline = Annotated[str, typer.Option(help="on which the device lives")]


@command.command()
def send(
    device: Name,
    kind: Annotated[
        str,
        typer.Argument(
            help="burst, report, or what its page in docs/devices/ lists: pause, diagnostics, ..."
        ),
    ],
    *,
    arg: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as often as needed")] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="in which alone it may run: idle, running, ...; may be repeated"),
    ] = None,
    expires: Annotated[str, typer.Option(help="on the device's timeline")] = "60s",
    wait: Annotated[str, typer.Option(help="for the answer at most so long")] = "15s",
    timeline: Timeline = "live",
    tenant: Tenant = None,
    as_json: JsonOption = False,
) -> None:
    """Send a signed command and wait for the answer."""
    from api import downlink
    from api.downlink import Order

    order = Order(
        kind=kind,
        args=dict(map(_pair, arg or [])),
        interlock=tuple(map(_phase, phase or [])),
        expires_s=seconds(expires),
    )
    with work(tenant) as (connection, whose):
        device_id = _identify(connection, device, timeline)
        row = downlink.send(
            connection, tenant=whose, device_id=device_id, order=order, asked_by=ASKED_BY
        )
    until = time.monotonic() + seconds(wait)
    while row["state"] in OPEN and time.monotonic() < until:
        time.sleep(0.2)
        with work(tenant) as (connection, _):
            row = downlink.command(connection, device_id=device_id, command_id=row["id"])
    _tell(row, "\n".join(answer(row)), as_json=as_json)
    raise typer.Exit(row["state"] in {"refused", "failed", "expired"})


def answer(row: Mapping[str, Any]) -> list[str]:
    """Give a command's answer in lines for a person: what came of it, and the figures below.

    >>> answer({"id": "c1", "state": "finished", "reason": "", "details": {"port": "VIRTUAL"}})
    ['c1: finished', '  port = VIRTUAL']
    """
    reason = _IN_WORDS.get(row["reason"], row["reason"])
    if row["state"] in OPEN:
        reason = "no answer yet; see `foremend command list`"
    head = f"{row['id']}: {row['state']}"
    figures = [f"  {name} = {value}" for name, value in sorted(row["details"].items())]
    return [f"{head}: {reason}" if reason else head, *figures]


@command.command(name="list")
def listed(
    device: Name, *, timeline: Timeline = "live", tenant: Tenant = None, as_json: JsonOption = False
) -> None:
    """List a device's newest commands."""
    from api import downlink

    with work(tenant) as (connection, _):
        device_id = _identify(connection, device, timeline)
        rows = downlink.commands(connection, device_id=device_id, limit=50)
    for row in rows:
        text = f"{row['id']} {row['asked_at']:%F %T} {row['kind']}: {row['state']} {row['reason']}"
        text = text.rstrip()
        _tell(row, text, as_json=as_json)


@twin.command(name="set")
def desire(
    device: Name,
    settings: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE; all of them")] = None,
    *,
    timeline: Timeline = "live",
    tenant: Tenant = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a device should be set; what is left out is as its own file says.

    As in: twin set voron log_level=DEBUG sampling.default.report=change
    sampling.hotend_temp.deadband=0.5. docs/devices/README.md lists the settings.
    """
    from api import downlink

    with work(tenant) as (connection, whose):
        row = downlink.desire(
            connection,
            tenant=whose,
            device_id=_identify(connection, device, timeline),
            desired=dict(map(_pair, settings or [])),
            asked_by=ASKED_BY,
        )
    _tell(row, f"{device}: version {row['version']} is desired", as_json=as_json)


@twin.command()
def show(
    device: Name, *, timeline: Timeline = "live", tenant: Tenant = None, as_json: JsonOption = False
) -> None:
    """Show what is desired of a device, and what it reported."""
    from api import downlink

    with work(tenant) as (connection, _):
        row = downlink.twin(connection, device_id=_identify(connection, device, timeline))
    lag = "reported" if row["reported_version"] == row["version"] else "not reported yet"
    lines = [f"{device}: version {row['version']}, {lag}"]
    lines += [
        f"  {name} = {value}: {row['reported'].get(name, 'not reported')}"
        for name, value in row["desired"].items()
    ]
    _tell(row, "\n".join(lines), as_json=as_json)


def _identify(connection: psycopg.Connection[dict[str, Any]], name: str, timeline: str) -> int:
    from api.devices import identify
    from api.scopes import Scope
    from foremend.clock import to_datetime, wall_ms

    scope = Scope(timeline=timeline, region=None, now=to_datetime(wall_ms()))
    return identify(connection, scope, name)


def _pair(text: str) -> tuple[str, Any]:
    """Read `NAME=VALUE`; a value that is JSON is taken as such, else as text.

    >>> _pair("seconds=30"), _pair("channel=hotend")
    (('seconds', 30), ('channel', 'hotend'))
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    try:
        read = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
    return name, value if isinstance(read, dict | list) else read


def _phase(name: str) -> int:
    from foremend.values import Phase

    try:
        return Phase[name.upper()].value
    except KeyError:
        known = ", ".join(phase.name.lower() for phase in Phase)
        raise typer.BadParameter(f"{name!r} is no phase; there are {known}") from None


def _tell(row: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(msgspec.json.encode(row).decode() if as_json else text)
