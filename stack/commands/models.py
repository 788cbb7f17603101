"""Model versions: `foremend models list|show|compare|promote|rollback|export|import`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stack.commands.devices import database_url
from stack.commands.terms import JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.model_versions import ModelVersion
    from foremend.db import Connection
    from foremend.settings import Settings

WIDE: Final = 160
"""Columns where the output is no terminal."""
commands: Final = typer.Typer()
models: Final = typer.Typer(
    name="models",
    help="Look at model versions, compare them, and say which is in force.",
    no_args_is_help=True,
)
commands.add_typer(models)

Version = Annotated[str, typer.Argument(help="as `models list` gives it")]
Timeline = Annotated[str | None, typer.Option(help="judge trials on this timeline alone")]
Tenant = Annotated[str | None, typer.Option(help="whose audit log notes it")]
MinFindings = Annotated[int, typer.Option(min=1, help="failures that a trial must have seen")]


@models.command(name="list")
def list_versions(*, as_json: JsonOption = False) -> None:
    """List versions: those in force, shadows, then the retired."""
    from models import proposals
    from stack import model_sheets

    with _database() as (link, told):
        found, drifted = _versions(told), proposals.listed(link)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    _print(model_sheets.listing(found))
    for proposal in drifted:
        typer.echo(f"proposed: {proposal}")


@models.command()
def show(version: Version, *, as_json: JsonOption = False) -> None:
    """Show everything that is known of a version: where it comes from, and what it is worth."""
    from models.trials import store as trials
    from stack import model_sheets
    from stack.promotion import plain

    with _database() as (link, told):
        (found,) = _versions(told, version)
        trial = trials.trial_of(link, version)
        both = trials.figures(link, version) if trial else None
    if as_json:
        sheet: dict[str, Any] = found.model_dump(mode="json") | {"trial": None}
        if both:
            sheet["trial"] = {"in_force": plain(both[0]), "shadow": plain(both[1])}
        typer.echo(json.dumps(sheet))
        return
    _print(model_sheets.sheet(found))
    if both and trial:
        _print(model_sheets.trial(*both, version))
        if trial.fault:
            typer.echo(f"the trial ended: {trial.fault}")


@models.command()
def compare(
    one: Version, other: Version, *, timeline: Timeline = None, as_json: JsonOption = False
) -> None:
    """Compare two versions by what training held out, and by trials on live data."""
    from models.trials import store as trials
    from stack import model_sheets
    from stack.promotion import plain

    with _database() as (link, told):
        left, right = _versions(told, one, other)
        tried = [v for v in (one, other) if trials.trial_of(link, v) is not None]
        figures = {v: trials.figures(link, v, timeline=timeline) for v in tried}
    if as_json:
        sheet = {
            "held_out": {m.version: model_sheets.held_out(m.meta) for m in (left, right)},
            "trials": {
                v: {"in_force": plain(both[0]), "shadow": plain(both[1])}
                for v, both in figures.items()
            },
        }
        typer.echo(json.dumps(sheet))
        return
    _print(model_sheets.beside(left, right))
    for version, both in figures.items():
        _print(model_sheets.trial(*both, version))


@models.command()
def promote(
    version: Version,
    *,
    force: Annotated[bool, typer.Option("--force", help="overrule the gate")] = False,
    why: Annotated[str, typer.Option(help="for the audit log; needed with --force")] = "",
    min_findings: MinFindings = 10,
    timeline: Timeline = None,
    tenant: Tenant = None,
) -> None:
    """Put a version in force, if its trial shows that it is as good as what is in force."""
    from models import signing
    from models.trials.promotion import Policy
    from stack import promotion

    if force and not why.strip():
        raise typer.BadParameter("--force needs --why TEXT: whoever reads the audit log will ask")
    with _database() as (link, told):
        asked = promotion.Asked(
            tenant=tenant or told.tenant,
            why=why,
            force=force,
            timeline=timeline,
            policy=Policy(min_findings=min_findings),
        )
        trusted = signing.trusted_keys(told.trusted_keys_dir)
        decision = promotion.promote(link, version, trusted, asked)
    typer.echo(f"model {version} is in force; the gate said: {decision}")


@models.command()
def rollback(
    family: Annotated[str, typer.Argument(help="whose model goes back to the one before")],
    *,
    kind: Annotated[str, typer.Option(help="of model: failure or prior")] = "failure",
    why: Annotated[str, typer.Option(help="for the audit log")] = "",
    tenant: Tenant = None,
) -> None:
    """Put back, in one step, the version that the one in force replaced."""
    from models.trials.promotion import Policy
    from stack import promotion

    with _database() as (link, told):
        asked = promotion.Asked(tenant=tenant or told.tenant, why=why, policy=Policy())
        record = promotion.roll_back(link, kind, family, asked)
    typer.echo(f"model {record.version} of {family} is in force again")


@models.command()
def decline(
    family: Annotated[str, typer.Argument(help="whose proposals to learn anew are declined")],
    *,
    why: Annotated[str, typer.Option(help="for whoever reads the list of proposals")],
) -> None:
    """Leave a family's model as it is although drift was found; later drift is proposed again."""
    from models import proposals

    with _database() as (link, _):
        proposals.settle(link, family, by=f"declined: {why}")
    typer.echo(f"proposals for {family} are declined")


@models.command(name="export")
def export_version(
    version: Version, file: Annotated[Path, typer.Argument(help="that must not exist yet")]
) -> None:
    """Write a version with its signature and all that is known of it into one file."""
    from models.parcel import packed
    from models.registry import PostgresShelf

    with _database() as (link, _):
        content = packed(PostgresShelf(link).get(version))
    try:
        with file.open("xb") as sink:
            sink.write(content)
    except FileExistsError as error:
        raise typer.BadParameter(f"{file} is there already") from error
    typer.echo(f"{file}: model {version}, {len(content) / 1024:.0f} KiB")


@models.command(name="import")
def import_version(
    file: Annotated[Path, typer.Argument(help="that `models export` made")],
) -> None:
    """Take a version from a file, as a shadow, if a key that is trusted here signed it."""
    from foremend.db import EVERY_TENANT, transaction
    from models import signing
    from models.parcel import unpacked
    from models.registry import PostgresShelf

    with _database() as (link, told):
        record = unpacked(file.read_bytes(), signing.trusted_keys(told.trusted_keys_dir))
        with transaction(link, tenant=EVERY_TENANT):
            PostgresShelf(link).put(record)
    typer.echo(f"model {record.version} of {record.cohort} is registered as a shadow")


@models.command(name="try")
def try_version(version: Version) -> None:
    """Score a shadow on live data beside the model in force, alerting nobody."""
    from foremend.errors import Conflict
    from models.registry import PostgresShelf
    from models.trials import store as trials

    with _database() as (link, _):
        record = PostgresShelf(link).get(version)
        if record.stage != "shadow" or record.kind != "failure":
            raise Conflict(f"model {version} is a {record.stage} of kind {record.kind}")
        trials.begin(link, version, record.cohort)
    typer.echo(f"model {version} of {record.cohort} is tried from here on")


def _versions(told: Settings, *wanted: str) -> list[ModelVersion]:
    """Give all versions, or those wanted, in that order."""
    import psycopg
    from psycopg.rows import dict_row

    from api.model_versions import read_models
    from foremend.errors import NotFound

    with psycopg.connect(database_url(told), autocommit=True, row_factory=dict_row) as rows:
        found = {one.version: one for one in read_models(rows)}
    for version in wanted:
        if version not in found:
            raise NotFound(f"there is no model {version}")
    return [found[version] for version in wanted] if wanted else list(found.values())


def _print(table: Any) -> None:  # noqa: ANN401 - what rich can print
    from rich.console import Console

    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table)


@contextmanager
def _database() -> Iterator[tuple[Connection, Settings]]:
    from foremend.db import connect

    told = settings_of("models")
    with connect(database_url(told), name="models") as link:
        yield link, told
