"""The signature library: what is known of failures before any label exists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from stack.commands.terms import DataDirOption, JsonOption  # noqa: TC001 - typer reads them

commands: Final = typer.Typer()
group: Final = typer.Typer(
    help="What is known of failures before any label exists, as data.", no_args_is_help=True
)
commands.add_typer(group, name="signatures")
DATA_DIR: Final = Path("var")


@group.command("list")
def list_libraries(*, data_dir: DataDirOption = DATA_DIR, as_json: JsonOption = False) -> None:
    """List the libraries in force."""
    from stack.signatures import known, summary

    told = [summary(library) for library in known(data_dir).values()]
    if as_json:
        typer.echo(json.dumps(told))
        return
    for one in told:
        orders = (
            f"orders from {one['order_threshold']:.2f} on"
            if one["calibrated"]
            else "not calibrated: opens no order"
        )
        typer.echo(f"{one['name']}: {one['modes']} modes, {one['features']} features, {orders}")


@group.command()
def show(
    family: Annotated[str, typer.Argument(help="such as fdm_printer")],
    component: Annotated[str | None, typer.Argument(help="such as nozzle; else all")] = None,
    *,
    data_dir: DataDirOption = DATA_DIR,
) -> None:
    """Show what a library says, with the source of each figure."""
    from stack.signatures import find, shown

    for line in shown(find(data_dir, family), component):
        typer.echo(line)


@group.command()
def validate(
    file: Annotated[Path, typer.Argument(help="a library of one family, TOML")],
) -> None:
    """Check a library; an error names file, line and field."""
    from models.signatures import read_library

    library = read_library(file)
    modes, features = len(library.modes), len(library.features)
    typer.echo(f"{file}: {library.family}, {modes} modes, {features} features, all well")
    if not library.calibrated:
        typer.echo("it is not calibrated, so it opens no order: foremend signatures calibrate")


@group.command()
def calibrate(
    files: Annotated[
        list[Path] | None, typer.Argument(help="libraries; else those that ship")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="write calibration.toml here")] = Path(
        "calibration.toml"
    ),
    printers: Annotated[int, typer.Option(min=1, help="simulated printers a seed")] = 200,
    others: Annotated[int, typer.Option(min=1, help="units a seed of each other family")] = 100,
) -> None:
    """Fit probabilities and order thresholds to simulated fleets."""
    from models.signatures import read_library, shipped
    from models.signatures.writing import calibration_text
    from stack.signatures import Units, calibrated

    libraries = [read_library(file) for file in files] if files else list(shipped().values())
    units = Units(printers=printers, machines=others, excavators=others)
    done = calibrated(libraries, units, lambda line: typer.echo(line, err=True))
    told = {one.family: one.calibration for one in done if one.calibration is not None}
    out.write_text(calibration_text(told), "utf-8")
    typer.echo(f"{out}: {', '.join(told)}")


@group.command()
def judge(
    *,
    seed: Annotated[int, typer.Option(help="of fleets that nothing was fitted to")] = 9101,
    printers: Annotated[int, typer.Option(min=1, help="simulated printers")] = 120,
    others: Annotated[int, typer.Option(min=1, help="units of each other family")] = 60,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Judge the libraries on simulated fleets that nothing was fitted to."""
    from stack.signatures import Units, figures, known

    units = Units(printers=printers, machines=others, excavators=others)
    told = figures(
        list(known(data_dir).values()), seed, units, lambda line: typer.echo(line, err=True)
    )
    if as_json:
        typer.echo(json.dumps(told))
        return
    for family, one in told.items():
        typer.echo(f"{family}: {', '.join(f'{name} {value}' for name, value in one.items())}")


@group.command()
def table(*, data_dir: DataDirOption = DATA_DIR) -> None:
    """Print the libraries as the tables of docs/signatures.md."""
    from models.signatures.writing import document
    from stack.signatures import known

    typer.echo(document(known(data_dir)), nl=False)
