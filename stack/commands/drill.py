"""Breaking things on purpose, before somebody else does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stack.commands.terms import JsonOption  # noqa: TC001 - typer reads it at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.table import Table

    from stack.drill.programme import Skipped
    from stack.drill.run import Report
    from stack.soak.report import Report as SoakReport

SOAK: Final = "soak-octoprint"
commands: Final = typer.Typer()


@commands.command()
def drill(
    *,
    scenario: Annotated[
        list[str] | None, typer.Option(help="what to break, may be repeated; `all` for everything")
    ] = None,
    loops: Annotated[int, typer.Option(min=1, help="how often each fault is caused")] = 5,
    seed: Annotated[int, typer.Option(help="of the moments at which it happens")] = 1,
    devices: Annotated[int, typer.Option(min=1, help="agents that send meanwhile")] = 4,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="how long `soak-octoprint` lasts, which `all` leaves out")
    ] = 60.0,
    octoprint: Annotated[
        Path | None, typer.Option(help="OctoPrint's executable, for its soak")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Kill, cut and fill real throw-away servers under load, and prove that nothing is lost."""
    from stack.drill.programme import ALL, Programme, chosen
    from stack.drill.run import Course

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    names = scenario or [ALL]
    course = Course(loops=loops, seed=seed, tell=tell)
    broken = chosen([name for name in names if name != SOAK])
    programme = Programme(scenarios=broken, course=course, devices=devices)
    show = in_json if as_json else for_people
    soaks = [soaked(minutes, seed, octoprint, tell)] if SOAK in names else []
    passed = show(itertools.chain(programme.run(), *soaks))
    raise typer.Exit(0 if passed else 1)


def soaked(
    minutes: float, seed: int, octoprint: Path | None, tell: Callable[[str], None]
) -> Iterator[SoakReport | Skipped]:
    """Run the soak, once it is its turn."""
    from stack.drill.ground import NotHere
    from stack.drill.programme import Skipped
    from stack.soak.run import Course, soak

    course = Course(minutes=minutes, seed=seed, program=octoprint, tell=tell)
    try:
        yield soak(course)
    except NotHere as reason:
        yield Skipped(scenario=SOAK, reason=str(reason))


def in_json(reports: Iterable[Report | SoakReport | Skipped]) -> bool:
    """Print one line a scenario; give whether none failed."""
    failed = False
    for report in reports:
        typer.echo(json.dumps(report.figures()))
        failed |= report.passed is False
    return not failed


def for_people(reports: Iterable[Report | SoakReport | Skipped]) -> bool:
    """Print a table at the end; give whether none failed."""
    from rich.console import Console

    found = []
    for report in reports:
        found.append(report.figures())
        typer.echo(f"{found[-1]['scenario']}: {_outcome(found[-1])}", err=True)
    Console().print(table(found))
    return all(one["passed"] is not False for one in found)


def table(found: list[dict[str, Any]]) -> Table:
    """Lay reports out as a person would read them; recoveries as median and longest."""
    from rich.table import Table

    laid = Table(title="What was broken, and what it cost")
    laid.add_column("scenario", no_wrap=True)
    counts = {"acked": "acked", "stored": "stored", "lost": "lost", "duplicates": "twice"}
    counts["gaps_recorded"] = "gaps"
    for heading in (*counts.values(), "recovery s"):
        laid.add_column(heading, justify="right", no_wrap=True)
    laid.add_column("outcome", no_wrap=True)
    for one in found:
        recovery = f"{_cell(one.get('recovery_s_p50'))} / {_cell(one.get('recovery_s_max'))}"
        outcome = {True: "passed", False: "FAILED", None: "not run"}[one["passed"]]
        cells = [_cell(one.get(column)) for column in counts]
        laid.add_row(one["scenario"], *cells, recovery, outcome)
    return laid


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _outcome(one: dict[str, Any]) -> str:
    if one["passed"] is None:
        return f"not run: {one['skipped']}"
    return "passed" if one["passed"] else "; ".join(one["complaints"])
