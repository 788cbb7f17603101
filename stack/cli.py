"""The command line: `foremend up` for everything, one command for each part of it."""

from __future__ import annotations

from typing import Final

import typer

from foremend.errors import ForemendError
from stack.commands import (
    backtest,
    bench,
    devices,
    downlink,
    drill,
    learning,
    quarantine,
    scoring,
    services,
    simulate,
    storage,
    whole,
)

app: Final = typer.Typer(
    name="foremend",
    help="Predicts the failure, opens the work order, and sends the fix before the machine stops.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for subject in (
    whole,
    services,
    simulate,
    devices,
    downlink,
    learning,
    scoring,
    backtest,
    storage,
    bench,
    drill,
    quarantine,
):
    app.add_typer(subject.commands)


def main() -> None:
    """Run the command line; an error of ours is one sentence and status 1."""
    try:
        app()
    except ForemendError as error:
        typer.secho(f"foremend: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error
