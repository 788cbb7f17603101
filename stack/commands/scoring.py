"""Scoring recorded files, as an engineer with their own history would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

commands: Final = typer.Typer()


@commands.command()
def score(
    file: Annotated[Path, typer.Argument(help="a text file with a header: one row per reading")],
    *,
    time: Annotated[str, typer.Option(help="the column that tells when")],
    out: Annotated[Path, typer.Option(help="write ts,score,anomalous,alarm,top_channel here")],
    channels: Annotated[
        str | None, typer.Option(help="columns to score, with commas; else all that hold numbers")
    ] = None,
    warm_up: Annotated[
        int, typer.Option(min=0, help="so many first rows are known to be healthy")
    ] = 0,
    alarms_per_week: Annotated[
        float, typer.Option(min=1e-6, help="false alarms that are bearable in a week")
    ] = 1.0,
) -> None:
    """Score a recorded file row by row, each row before it is learnt from."""
    from models.scorefile import Request, score_file

    asked = None if channels is None else tuple(name.strip() for name in channels.split(","))
    request = Request(
        path=file,
        time=time,
        channels=asked,
        warm_up=warm_up,
        alarms_per_week=alarms_per_week,
    )
    told = score_file(request, out)
    left = f"; left out {', '.join(told.left_out)}" if told.left_out else ""
    typer.echo(f"scored {', '.join(told.channels)}{left}", err=True)
    typer.echo(f"{told.rows} rows, {told.anomalous} anomalous, {told.alarms} alarms", err=True)
