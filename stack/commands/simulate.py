"""Simulations: by itself the fleet that stands in for a real one, and whole runs by name."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stack.commands.terms import JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from stack.year.run import Part, Told

commands: Final = typer.Typer()
simulate: Final = typer.Typer(invoke_without_command=True)
commands.add_typer(simulate, name="simulate")


@simulate.callback()
def stand_in(
    context: typer.Context,
    *,
    scale: Annotated[float, typer.Option(help="simulated seconds in one second")] = 7200.0,
    seed: Annotated[int, typer.Option(help="of units and faults")] = 7,
) -> None:
    """Stand in for a fleet and its people: real agents, simulated devices and repairs."""
    if context.invoked_subcommand is not None:
        return
    from stack.fleet.process import serve as serve_fleet

    told = settings_of("simulate")
    serve_fleet(told, scale=scale, seed=seed)


@simulate.command()
def year(
    *,
    devices: Annotated[int, typer.Option(min=2, help="one in four is a machine")] = 200,
    days: Annotated[float, typer.Option(min=1.0, help="simulated days")] = 365.0,
    seed: Annotated[int, typer.Option(help="of units, sites and faults")] = 7,
    window: Annotated[
        int, typer.Option(min=10, max=60, help="simulated minutes from frame to frame")
    ] = 30,
    jobs: Annotated[
        int, typer.Option(min=1, help="processes; by default one a core, at most 2")
    ] = min(2, os.cpu_count() or 1),
    as_json: JsonOption = False,
) -> None:
    """Run the closed loop for a year, against run-to-failure and against the calendar."""
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
