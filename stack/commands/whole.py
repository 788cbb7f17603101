"""The whole system on one machine, and what looks after an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from foremend import settings
from stack.commands.terms import DataDirOption, JsonOption, seconds, settings_of

commands: Final = typer.Typer()


@commands.command()
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


@commands.command()
def migrate() -> None:
    """Bring the database that FOREMEND_OWNER_URL names to the newest revision."""
    from foremend.db import bootstrap

    url = settings_of("migrate").owner_url.get_secret_value()
    if not url:
        raise typer.BadParameter("set FOREMEND_OWNER_URL to the migration role's URL")
    typer.echo(f"schema: revision {bootstrap.migrate(url)}")


@commands.command()
def admin() -> None:
    """Make the administrator's account where there is none, and print its password once."""
    from api.admin import ensure_admin
    from foremend.db import connect, transaction

    told = settings_of("admin")
    url = told.database_url.get_secret_value()
    if not url:
        raise typer.BadParameter("set FOREMEND_DATABASE_URL to the runtime role's URL")
    with connect(url, name="admin") as link, transaction(link, tenant=told.tenant):
        password = ensure_admin(link, told.tenant)
    if password is None:
        typer.echo(f"{told.tenant} has an administrator already: nothing was changed")
    else:
        typer.echo(f"sign in as admin with the password {password} (shown this once)")


@commands.command()
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
