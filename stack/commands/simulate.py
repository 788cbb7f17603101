"""Simulated devices, alone or as a load: `foremend simulate [SUBJECT]`."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stack.commands.terms import JsonOption, seconds, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from stack.year.run import Part, Told

commands: Final = typer.Typer()
simulate: Final = typer.Typer(
    name="simulate",
    help="Stand in for a fleet and its people: real agents, simulated devices and repairs.",
    invoke_without_command=True,
)
commands.add_typer(simulate)


@simulate.callback()
def demonstrate(
    context: typer.Context,
    *,
    scale: Annotated[float, typer.Option(help="simulated seconds in one second")] = 7200.0,
    seed: Annotated[int, typer.Option(help="of units and faults")] = 7,
) -> None:
    """Run the demonstration's fleet and crew, unless something else is to be simulated."""
    if context.invoked_subcommand is not None:
        return
    from stack.fleet.process import serve as serve_fleet

    serve_fleet(settings_of("simulate"), scale=scale, seed=seed)


@simulate.command()
def signatures(
    *,
    out: Annotated[Path, typer.Option(help="folder to draw in")] = Path("docs/images/faults"),
) -> None:
    """Draw how each fault shows beside a healthy twin, one SVG each."""
    from simulators.plots import draw_all

    for path in draw_all(out):
        typer.echo(str(path))


@simulate.command()
def fleet(
    *,
    devices: Annotated[int, typer.Option(min=1, help="that speak")] = 10_000,
    rate: Annotated[float, typer.Option(help="messages a second of each device")] = 1.0,
    length: Annotated[str, typer.Option("--for", help="how long: 20s, 5m")] = "20s",
    processes: Annotated[int, typer.Option(min=1, max=8, help="that speak for them")] = 1,
    seed: Annotated[int, typer.Option(help="of devices, faults and troubles")] = 11,
    duplicates: Annotated[float, typer.Option(help="share of messages sent twice")] = 0.0,
    reorder: Annotated[float, typer.Option(help="share overtaken by the device's next")] = 0.0,
    skew: Annotated[float, typer.Option(help="seconds that clocks are wrong by, at most")] = 0.0,
    flap: Annotated[float, typer.Option(help="seconds from one cut of a link to the next")] = 0.0,
    flap_for: Annotated[float, typer.Option(help="seconds that a link stays cut")] = 2.0,
    storm: Annotated[float, typer.Option(help="seconds from one event storm to the next")] = 0.0,
    broker: Annotated[
        bool,
        typer.Option("--broker", help="against the broker of the settings, not one of its own"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Load a system with a crowd of devices over the real wire; status 1 if anything is lost."""
    from stack.load.run import Load, spoken, throw_away
    from stack.load.troubles import Switches

    load = Load(
        devices=devices,
        per_s=rate,
        seconds=seconds(length),
        processes=processes,
        seed=seed,
        switches=Switches(
            duplicates=duplicates,
            reorder=reorder,
            skew_s=skew,
            flap_every_s=flap,
            flap_for_s=flap_for,
            storm_every_s=storm,
        ),
    )
    found = spoken(load, {}) if broker else throw_away(load)
    for name, figure in found.items():
        typer.echo(f"{name}: {figure}", err=as_json)
    if as_json:
        typer.echo(json.dumps(found))
    lost = found["unacknowledged"] + found["refused"] + found.get("stored_doubled", 0)
    raise typer.Exit(1 if lost else 0)


@simulate.command()
def year(
    *,
    devices: Annotated[int, typer.Option(min=2, help="one in four is a machine")] = 200,
    days: Annotated[float, typer.Option(min=1.0, help="simulated days")] = 365.0,
    seed: Annotated[int, typer.Option(help="of units, sites and faults")] = 7,
    window: Annotated[
        int, typer.Option(min=10, max=60, help="simulated minutes from frame to frame")
    ] = 60,
    jobs: Annotated[
        int, typer.Option(min=1, help="processes; by default one a core, at most 2")
    ] = min(2, os.cpu_count() or 1),
    as_json: JsonOption = False,
) -> None:
    """Run the closed loop for a year, against run-to-failure and against the calendar.

    A pilot fleet is lived first, to learn from. 200 devices take five to ten minutes on two cores.
    """
    from stack.year.run import run
    from stack.year.terms import STEP_MS, Terms

    if STEP_MS % (window * 60_000):
        raise typer.BadParameter("a window must divide the 240 minutes between two judgements")
    terms = Terms(devices=devices, days=days, seed=seed, window_min=window)
    with _progress() as news:
        figures = run(terms, jobs=jobs, news=news)
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        from rich.console import Console

        from stack.year.table import tables

        Console().print(*tables(figures), sep="\n")


@contextmanager
def _progress() -> Iterator[Callable[[Told], None]]:
    """Show on standard error how far each policy has come over each family."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as shown:
        tasks: dict[Part, TaskID] = {}

        def tell(told: Told) -> None:
            for part, share in told.items():
                if part not in tasks:
                    title = f"{part.policy} {part.family}".replace("_", " ")
                    tasks[part] = shown.add_task(title, total=1.0)
                shown.update(tasks[part], completed=share)

        yield tell
