"""What is stored: kept in order, verified, carried away, brought back, and handed out."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from stack.commands.bench import bench
from stack.commands.terms import DataDirOption, JsonOption, serve, settings_of

if TYPE_CHECKING:
    from stack.keeping.manifest import Manifest

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


@commands.command()
def export(
    device: Annotated[str, typer.Argument(help="the device's name")],
    *,
    out: Annotated[Path, typer.Option(help="the file to write")],
    since: Since = None,
    until: Until = None,
    form: Annotated[str, typer.Option("--format", help="csv or parquet")] = "csv",
    timeline: Annotated[str | None, typer.Option(help="where several have the name")] = None,
    data_dir: DataDirOption = Path("var"),
) -> None:
    """Write one device's frames to a file, as they are; memory stays flat however many."""
    from api.export import Format
    from stack.keeping.exporting import Wanted
    from stack.keeping.exporting import export as write
    from stack.keeping.place import reached

    if form not in {"csv", "parquet"}:
        raise typer.BadParameter(f"{form!r} is neither csv nor parquet")
    told = settings_of("export")
    wanted = Wanted(
        tenant=told.tenant,
        device=device,
        timeline=timeline,
        since=_utc(since),
        until=_utc(until),
        form=Format(form),
    )
    with reached(told, data_dir) as url:
        size = write(url, wanted, out, lambda line: typer.echo(line, err=True))
    typer.echo(f"wrote {size:,} bytes to {out}")


@commands.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="a new folder for the backup")],
    *,
    data_dir: DataDirOption = Path("var"),
    as_json: JsonOption = False,
) -> None:
    """Back the database up while it runs: FOREMEND_OWNER_URL's, else the data folder's own."""
    from stack.keeping.backup import backup as keep
    from stack.keeping.place import reached

    with reached(settings_of("backup"), data_dir) as url:
        made = keep(url, folder.absolute(), lambda line: typer.echo(line, err=True))
    _tell_manifest(f"backed up to {folder}", made, as_json=as_json)


@commands.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="a folder that `foremend backup` wrote")],
    *,
    into: Annotated[
        str | None, typer.Option(help="URL of an empty database, as its owner or a superuser")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="a new data folder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup elsewhere, and hold every table to the backup's hashes."""
    from stack.keeping import restore as keeping

    settings_of("restore")
    if (into is None) == (data_dir is None):
        raise typer.BadParameter("say either --into URL or --data-dir DIR")

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    if data_dir is not None:
        made = keeping.restore_into_folder(folder.absolute(), data_dir, tell)
    else:
        made = keeping.restore(folder.absolute(), into or "", tell)
    _tell_manifest("restored, and every table is what it was", made, as_json=as_json)


@bench.command(name="read")
def bench_read(
    *,
    days: Annotated[int, typer.Option(help="of one device with 10 channels at 1 Hz")] = 30,
    points: Annotated[int, typer.Option(help="at most so many points a chart")] = 1500,
    reads: Annotated[int, typer.Option(help="of each zoom level")] = 20,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="on the disk to measure; a temporary one else")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure charts at each zoom level on a throw-away database, beside reading the frames."""
    from stack.bench.read import Course, measure
    from stack.embedded.datadir import open_data_dir
    from stack.embedded.postgres import EmbeddedPostgres
    from stack.embedded.server import serving
    from stack.site import prepare_database

    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        open_data_dir(Path(place) / "var") as home,
        serving(EmbeddedPostgres(home)) as server,
    ):
        site = prepare_database(home, server, "demo")
        course = Course(days=days, points=points, reads=reads)
        found = measure(
            (site.owner_url, site.app_url), course, lambda line: typer.echo(line, err=True)
        )
    for name, level in found["levels"].items():
        typer.echo(
            f"{name:>6}: {level['p50_ms']} ms, p95 {level['p95_ms']} ms from {level['level']}"
            f" ({level['points']} points); frames alone {level['ratio_raw']} times as long",
            err=as_json,
        )
    if as_json:
        typer.echo(json.dumps(found))


def _tell_manifest(done: str, made: Manifest, *, as_json: bool) -> None:
    rows = sum(table.rows for table in made.tables.values())
    typer.echo(f"{done}: {len(made.tables)} tables, {rows:,} rows", err=as_json)
    for part in made.leaves_out:
        typer.echo(f"not in it: {part}", err=as_json)
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
