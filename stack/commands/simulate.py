"""Simulated devices, alone or as a load: `foremend simulate [SUBJECT]`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from stack.commands.terms import settings_of

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
