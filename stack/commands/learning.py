"""Training models, and judging them on recorded fleets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from stack.commands.terms import JsonOption, ended_as_by_ctrl_c, settings_of

commands: Final = typer.Typer()


class Backend(StrEnum):
    """Who trains."""

    LOKY = "loky"
    DASK = "dask"


@commands.command()
def train(
    *,
    simulated: Annotated[
        int,
        typer.Option(help="train on so many simulated histories instead, a quarter of machines"),
    ] = 0,
    excavators: Annotated[
        int, typer.Option(help="with --simulated: train on so many excavators too")
    ] = 0,
    family: Annotated[str | None, typer.Option(help="of devices; default: each there is")] = None,
    timeline: Annotated[str, typer.Option(help="whose findings are learnt from")] = "live",
    tenant: Annotated[str | None, typer.Option(help="default: FOREMEND_TENANT")] = None,
    until: Annotated[
        datetime | None, typer.Option(help="use only what was known then (UTC); default: now")
    ] = None,
    days: Annotated[float, typer.Option(min=1, help="look so far back")] = 180.0,
    at_least: Annotated[
        int, typer.Option(min=3, help="labelled failures without which nothing is learnt")
    ] = 20,
    seed: Annotated[
        int | None, typer.Option(help="of what chance decides; a live fleet must have another")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="who works")] = Backend.LOKY,
    jobs: Annotated[int, typer.Option(min=1, help="processes to train with")] = 2,
    cluster: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="scheduler of a Dask cluster")
    ] = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="only for families that have no model")
    ] = False,
) -> None:
    """Learn failure models from findings, and sign them.

    A family's first model goes into force; a later one is a shadow until it is promoted.
    """
    from stack import learning, parallel
    from stack.training import train_simulated

    told = settings_of("train")
    workers = parallel.Workers(backend=parallel.Backend(backend.value), jobs=jobs, cluster=cluster)
    if simulated:
        with ended_as_by_ctrl_c():
            train_simulated(
                told,
                histories=simulated,
                excavators=excavators,
                seed=101 if seed is None else seed,
                workers=workers,
                only_missing=if_missing,
            )
        return
    ask = learning.Ask(
        tenant=tenant or told.tenant,
        timeline=timeline,
        family=family,
        until=None if until is None else until.replace(tzinfo=UTC),
        days=days,
        at_least=at_least,
        seed=7 if seed is None else seed,
        workers=workers,
        only_missing=if_missing,
    )
    with ended_as_by_ctrl_c():
        learning.train_stored(told, ask)


@commands.command()
def replay(
    recording: Annotated[str, typer.Argument(help="which kind of recording: azure-pdm")],
    *,
    data: Annotated[Path, typer.Option(help="folder of the recorded files")],
    since: Annotated[
        datetime | None, typer.Option("--from", help="leave out what is earlier")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="leave out what is later")] = None,
    train_until: Annotated[
        datetime, typer.Option(help="train on what was known then, judge what follows")
    ] = datetime(2015, 2, 20),  # noqa: DTZ001 - made UTC below
    speed: Annotated[str, typer.Option(help="max: as fast as everything takes it")] = "max",
    out: Annotated[Path | None, typer.Option(help="write orders.csv here")] = None,
    data_dir: Annotated[Path, typer.Option(help="where its servers keep their state")] = Path(
        "var/replay"
    ),
    as_json: JsonOption = False,
) -> None:
    """Play a recorded fleet through agents, broker, ingest and scoring, and judge its orders."""
    from stack.replay import Options
    from stack.replay import replay as play

    if recording != "azure-pdm":
        raise typer.BadParameter(f"{recording!r} is not known; there is azure-pdm")
    if speed != "max":
        raise typer.BadParameter("a recording is played at speed max alone")
    options = Options(
        data=data,
        data_dir=data_dir,
        train_until=train_until.replace(tzinfo=UTC),
        since=None if since is None else since.replace(tzinfo=UTC),
        until=None if until is None else until.replace(tzinfo=UTC),
        out=out,
    )
    figures = play(options, lambda line: typer.echo(line, err=as_json))
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        for line in replay_lines(figures):
            typer.echo(line)


def replay_lines(figures: dict[str, Any]) -> list[str]:
    """Give a replay's figures as a person would read them."""

    def share(told: dict[str, Any]) -> str:
        if told["value"] is None:
            return "none to count"
        interval = f"95 % interval {told['low']:.2f}-{told['high']:.2f}"
        return f"{told['value']:.2f} ({told['hits']} of {told['total']}, {interval})"

    def lines(name: str, told: dict[str, Any]) -> list[str]:
        return [
            f"{name}: precision {share(told['precision'])}",
            f"{name}: event recall {share(told['event_recall'])}",
        ]

    hours = figures["median_lead_h"]
    lead = "none" if hours is None else f"{hours:.0f} h"
    often = f"{figures['false_per_100_machine_weeks']:.1f} false orders per 100 machine-weeks"
    stored = f"{figures['frames_stored']:,} frames stored of {figures['frames_sent']:,} sent"
    return [
        *lines("foremend", figures),
        f"foremend: median lead {lead}, {figures['wrong_components']} wrong components, {often}",
        *lines("error-code lookup", figures["error_code_lookup"]),
        *lines("telemetry alone", figures["telemetry_alone"]),
        f"delivery: {stored}, {figures['frames_lost']} lost, in {figures['seconds']:.0f} s",
    ]
