"""Messages that were set aside: `foremend quarantine list|show|replay`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stack.commands.terms import JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.db import Connection

commands: Final = typer.Typer()
quarantine: Final = typer.Typer(
    name="quarantine",
    help="Look at messages that could not be stored, and replay them after a fix.",
    no_args_is_help=True,
)
commands.add_typer(quarantine)

ReasonOption = Annotated[str | None, typer.Option(help="only those set aside for this reason")]


@quarantine.command(name="list")
def list_entries(
    *,
    reason: ReasonOption = None,
    everything: Annotated[bool, typer.Option("--all", help="also what was replayed since")] = False,
    limit: Annotated[int, typer.Option(help="the newest so many")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List what was set aside, newest first."""
    from ingest import quarantine as room

    with _database() as link:
        entries = room.listed(link, reason=reason, everything=everything, limit=limit)
    for entry in entries:
        when = f"{entry.received_at:%Y-%m-%d %H:%M:%S}"
        kept = "whole" if entry.whole else "its head"
        done = f", replayed {entry.replayed_at:%Y-%m-%d %H:%M:%S}" if entry.replayed_at else ""
        typer.echo(
            f"{entry.id}  {when}  {entry.reason} x{entry.times}  {entry.topic}  "
            f"{entry.size} bytes ({kept} kept{done}): {entry.message}",
            err=as_json,
        )
    if as_json:
        found = [{"id": e.id, "reason": e.reason, "topic": e.topic} for e in entries]
        typer.echo(json.dumps(found))


@quarantine.command()
def show(
    number: Annotated[int, typer.Argument(help="as `list` gives it")],
    *,
    raw: Annotated[bool, typer.Option(help="its bytes alone, to look at with other tools")] = False,
) -> None:
    """Show one message: why it was set aside, and what it holds."""
    from ingest import quarantine as room

    with _database() as link:
        entry = room.shown(link, number)
    if raw:
        typer.echo(entry.content, nl=False)
        return
    typer.echo(f"topic: {entry.topic}\nreason: {entry.reason}: {entry.message}")
    typer.echo(f"hash: {entry.hash}\nseen: {entry.times} times, last {entry.received_at}")
    typer.echo(f"size: {entry.size} bytes, {len(entry.content)} kept")
    typer.echo(entry.content.decode("utf-8", "backslashreplace"))


@quarantine.command()
def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="as `list` gives them")] = None,
    *,
    reason: ReasonOption = None,
    everything: Annotated[bool, typer.Option("--all", help="all that is kept whole")] = False,
) -> None:
    """Store messages as if they arrived now; status 1 where one is refused still."""
    from foremend.clock import wall_ms
    from ingest import quarantine as room
    from ingest.store import PostgresStore

    if not (numbers or reason or everything):
        raise typer.BadParameter("name messages, or a --reason, or --all")
    failed = False
    with _database() as link:
        store = PostgresStore(link)
        for number in numbers or room.waiting(link, reason):
            done = room.replay(store, number, wall_ms())
            failed = failed or done.verdict not in room.KEPT
            detail = f" ({done.detail})" if done.detail else ""
            typer.echo(f"{done.id}: {done.verdict.value}{detail}")
    raise typer.Exit(failed)


@contextmanager
def _database() -> Iterator[Connection]:
    from foremend.db import connect

    url = settings_of("quarantine").database_url.get_secret_value()
    if not url:
        raise typer.BadParameter("set FOREMEND_DATABASE_URL to the runtime role's URL")
    with connect(url, name="quarantine") as link:
        yield link
