"""The command line: `foremend up` for everything, one command for each part of it."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from foremend import log, settings
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from foremend.settings import Settings

DataDirOption = Annotated[
    Path, typer.Option(help="where all state lives", envvar="FOREMEND_DATA_DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]

app: Final = typer.Typer(
    name="foremend",
    help="Predicts the failure, opens the work order, and sends the fix before the machine stops.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error of ours is one sentence and status 1."""
    try:
        app()
    except ForemendError as error:
        typer.secho(f"foremend: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error


def seconds(text: str) -> float:
    """Read a length of time: `90`, `60s`, `5m` or `2h`; gives seconds.

    >>> seconds("5m")
    300.0
    """
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a length of time such as 60s, 5m or 2h"
        ) from None
    if value <= 0:
        raise typer.BadParameter("a length of time must be above 0")
    return value


@app.command()
def up(
    *,
    data_dir: DataDirOption = Path("var"),
    api_port: Annotated[int, typer.Option(help="the console's port")] = 8420,
    postgres_port: Annotated[int, typer.Option(help="0 chooses a free one")] = 0,
    broker_port: Annotated[int, typer.Option(help="0 chooses a free one")] = 0,
    run_for: Annotated[
        str | None, typer.Option("--for", help="stop so long after the first frame, as in 60s")
    ] = None,
    scale: Annotated[float, typer.Option(help="simulated seconds in one second")] = 7200.0,
    seed: Annotated[int, typer.Option(help="of the simulated fleet")] = 7,
    histories: Annotated[
        int, typer.Option(help="simulated histories to train on where there is no model")
    ] = 400,
    fleet: Annotated[bool, typer.Option(help="simulate devices and people")] = True,
    as_json: JsonOption = False,
) -> None:
    """Start the whole system here: database, broker, every service and a simulated fleet."""
    try:
        from stack.up import Options
        from stack.up import up as start
    except KeyboardInterrupt:
        typer.echo("total: stopped before anything was started", err=as_json)
        return
    options = Options(
        data_dir=data_dir,
        api_port=api_port,
        postgres_port=postgres_port,
        broker_port=broker_port,
        tenant=settings.load().tenant,
        scale=scale,
        seed=seed,
        histories=histories,
        for_s=None if run_for is None else seconds(run_for),
        fleet=fleet,
    )
    try:
        summary = start(options, lambda line: typer.echo(line, err=as_json))
    except KeyboardInterrupt:
        # It came before the supervisor listened for it.
        typer.echo("total: stopped before anything was started", err=as_json)
        return
    typer.echo(f"total: {summary.line()}", err=as_json)
    if as_json:
        typer.echo(summary.json())


@app.command()
def ingest() -> None:
    """Store what devices say, and acknowledge it once it is committed."""
    from ingest.app import run

    _serve("ingest", run)


@app.command()
def scoring() -> None:
    """Follow the input log: anomalies, hazards and predictions."""
    from models.scoring.service import run
    from stack.verified import VerifiedModels

    _serve("scoring", lambda told, stop: run(told, VerifiedModels(told), stop))


@app.command()
def alerting() -> None:
    """Turn predictions into alerts, and deliver notices and webhooks."""
    from alerting.service import run

    _serve("alerting", run)


@app.command(name="field-service")
def field_service() -> None:
    """Open work orders with the right fix, and verify repairs by telemetry."""
    from field_service.service import run

    _serve("field-service", run)


@app.command()
def api() -> None:
    """Serve the HTTP API and the console."""
    from api.app import run

    _serve("api", run)


@app.command()
def simulate(
    *,
    scale: Annotated[float, typer.Option(help="simulated seconds in one second")] = 7200.0,
    seed: Annotated[int, typer.Option(help="of units and faults")] = 7,
) -> None:
    """Stand in for a fleet and its people: real agents, simulated devices and repairs."""
    from stack.fleet.process import serve

    told = _settings("simulate")
    serve(told, scale=scale, seed=seed)


@app.command()
def agent(
    config: Annotated[Path, typer.Argument(help="the agent's TOML file")],
) -> None:
    """Run the edge agent of one device."""
    from edge_agent.app import run

    run(config)


@app.command()
def train(
    *,
    simulated: Annotated[
        int, typer.Option(help="train on so many simulated histories, a quarter of them machines")
    ] = 400,
    seed: Annotated[
        int, typer.Option(help="of the histories; a live fleet must have another")
    ] = 101,
    jobs: Annotated[int, typer.Option(help="processes to train with")] = 2,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="only for families that have no model")
    ] = False,
) -> None:
    """Train failure models, sign them with the local key, and put them into force."""
    from stack.training import train_simulated

    told = _settings("train")
    train_simulated(told, histories=simulated, seed=seed, jobs=jobs, only_missing=if_missing)


@app.command()
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


@app.command()
def migrate() -> None:
    """Bring the database that FOREMEND_OWNER_URL names to the newest revision."""
    from foremend.db import bootstrap

    url = _settings("migrate").owner_url.get_secret_value()
    if not url:
        raise typer.BadParameter("set FOREMEND_OWNER_URL to the migration role's URL")
    typer.echo(f"schema: revision {bootstrap.migrate(url)}")


@app.command()
def doctor(
    *,
    data_dir: DataDirOption = Path("var"),
    api_port: Annotated[int, typer.Option(help="the console's port")] = 8420,
) -> None:
    """Say what is wrong with this installation, and what to do about it."""
    from stack.checks import Verdict
    from stack.doctor import examine

    findings = examine(settings.load(data_dir=data_dir, api_port=api_port))
    for finding in findings:
        typer.echo(f"{finding.verdict.value:>5}  {finding.subject}: {finding.sentence}")
    raise typer.Exit(any(f.verdict is Verdict.FAIL for f in findings))


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


def _settings(service: str) -> Settings:
    told = settings.load()
    log.configure(service, level=told.log_level, as_json=told.log_json)
    return told


def _serve(service: str, run: Callable[[Settings, threading.Event], None]) -> None:
    """Run a service until SIGINT or SIGTERM; an error of ours is logged and ends it."""
    told = _settings(service)
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    run(told, stop)
