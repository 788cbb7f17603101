"""What is stored: kept in order, verified, carried away, brought back, and handed out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from stack.commands.terms import DataDirOption, JsonOption, serve, settings_of

commands: Final = typer.Typer()

Since = Annotated[datetime | None, typer.Option(help="from this UTC time on")]
Until = Annotated[datetime | None, typer.Option(help="before this UTC time")]


@commands.command()
def upkeep() -> None:
    """Keep rollups right, and drop or compress old sections by the rules in the settings."""
    from ingest.upkeep.service import run

    serve("upkeep", run)


@commands.command()
def verify(
    *,
    since: Since = None,
    until: Until = None,
    device: Annotated[str | None, typer.Option(help="only devices of this name")] = None,
    data_dir: DataDirOption = Path("var"),
    as_json: JsonOption = False,
) -> None:
    """Hold what is stored against itself: rollups, receipts, the log; status 1 where it differs."""
    from stack.keeping.place import reached
    from stack.keeping.verify import Scope
    from stack.keeping.verify import verify as hold

    scope = Scope(since=_utc(since), until=_utc(until), device=device)
    with reached(settings_of("verify"), data_dir) as url:
        found = hold(url, scope, lambda line: typer.echo(line, err=True))
    for check in found.checks:
        typer.echo(check.line(), err=as_json)
        for difference in check.first:
            typer.echo(f"  {difference}", err=as_json)
    if as_json:
        told = {"passed": found.passed, "checks": [check.told() for check in found.checks]}
        typer.echo(json.dumps(told))
    raise typer.Exit(not found.passed)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
