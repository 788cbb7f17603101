"""What this machine can do, measured: `foremend bench SUBJECT`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from stack.commands.terms import JsonOption  # noqa: TC001 - typer reads it at run time

commands: Final = typer.Typer()
bench: Final = typer.Typer(
    name="bench", help="Measure a part of the system on this machine.", no_args_is_help=True
)
commands.add_typer(bench)


@bench.command(name="agent")
def bench_agent(
    *,
    seconds: Annotated[float, typer.Option(help="of 10 channels at 1 Hz")] = 20.0,
    backlog: Annotated[int, typer.Option(help="messages to drain")] = 10_000,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="on the disk to measure; a temporary one else")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the edge agent: a real process, a real broker and the disk beneath."""
    from edge_agent import bench as measures
    from edge_agent.config import BrokerConfig
    from stack.embedded.broker import EmbeddedBroker
    from stack.embedded.datadir import open_data_dir
    from stack.embedded.server import serving

    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        open_data_dir(Path(place) / "var") as home,
        serving(EmbeddedBroker(home)) as broker,
    ):
        login = BrokerConfig(
            port=broker.port, username=broker.services.user, password=broker.services.password
        )
        found = measures.measure(login, Path(place), seconds=seconds, backlog=backlog)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, figure in found.items():
        typer.echo(f"{name}: {figure}")


@bench.command(name="ingest")
def bench_ingest(
    *,
    devices: Annotated[int, typer.Option(help="that speak")] = 2000,
    seconds: Annotated[float, typer.Option(help="of measuring, each time")] = 8.0,
    rounds: Annotated[int, typer.Option(help="of ingest and bare pipe in turn")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure ingest over throw-away servers, against a bare pipe and a naive one."""
    from stack.bench.ingest import Options
    from stack.bench.ingest import bench as measure

    options = Options(devices=devices, seconds=seconds, rounds=rounds)
    found = measure(options, lambda line: typer.echo(line, err=as_json))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, figure in found.items():
        typer.echo(f"{name}: {figure}")


@bench.command(name="reconnect")
def bench_reconnect(
    *,
    devices: Annotated[int, typer.Option(min=1, help="idle clients")] = 8000,
    enrolled: Annotated[
        bool, typer.Option("--enrolled", help="each with its own credentials, through the gate")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how soon a fleet is back after a kill -9 of its broker."""
    from stack.bench.reconnect import measure

    found = measure(devices, enrolled=enrolled)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, figure in found.items():
            typer.echo(f"{name}: {figure}")
    raise typer.Exit(0 if found["all_back"] else 1)


@bench.command(name="models")
def bench_models(
    *,
    devices: Annotated[int, typer.Option(help="that are scored together")] = 1000,
    channels: Annotated[int, typer.Option(help="of each device")] = 10,
    seconds: Annotated[float, typer.Option(help="of processor time for each measurement")] = 3.0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="folder with nab/, skab/, azure_pdm/, cmapss/ and ai4i/, to judge on too"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what models cost, and what they find in public recordings, beside others."""
    from dataclasses import asdict

    from models.bench import figures, recorded, service_figures

    typer.echo("speed: the fleet scorer and river's half-space trees", err=True)
    found = asdict(figures(devices, channels, seconds))
    typer.echo("speed: the scoring service", err=True)
    found |= asdict(service_figures(devices, channels))
    if data is not None:
        found |= recorded(data, lambda stage: typer.echo(stage, err=True))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, figure in found.items():
        typer.echo(f"{name}: {json.dumps(figure)}")


@bench.command(name="calm")
def bench_calm(
    *,
    seed: Annotated[int, typer.Option(help="of the fleets and their faults")] = 1,
    devices: Annotated[int, typer.Option(min=1, help="of each family; each has an ill twin")] = 48,
    weeks: Annotated[int, typer.Option(min=3, help="of simulated time")] = 4,
    family: Annotated[str | None, typer.Option(help="this one alone; else all")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count alarms of healthy simulated devices, and how many ill ones are found."""
    from dataclasses import asdict

    from simulators.fleets import FLEETS
    from stack.bench.calm import measured

    for name in FLEETS if family is None else [family]:
        found = asdict(measured(name, seed=seed, devices=devices, weeks=weeks))
        typer.echo(json.dumps({"family": name} | found) if as_json else f"{name}: {found}")
