"""Devices that are not there, answering as they would: to try an agent without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

commands: Final = typer.Typer()
emulate: Final = typer.Typer(help="Answer as a device does, before a simulated one.")
commands.add_typer(emulate, name="emulate", no_args_is_help=True)


@emulate.callback()
def _group() -> None:
    """Keep `emulate` a group while it has but one command."""


@emulate.command()
def marlin(
    *,
    link: Annotated[Path, typer.Option(help="where the port is to appear")] = Path("marlin"),
    seed: Annotated[int, typer.Option(help="of the printer, its jobs and faults")] = 7,
    speed: Annotated[float, typer.Option(min=0.1, help="simulated seconds in one second")] = 5.0,
) -> None:
    """Answer as Marlin does at a pseudo-terminal: M105, M155, M114, M115, M123, M27 and others."""
    import asyncio
    from contextlib import suppress

    from simulators.emulators.terminal import serve

    with suppress(KeyboardInterrupt):
        asyncio.run(serve(link, seed=seed, speed=speed, tell=typer.echo))
