"""Programs that answer as printers would, so that an agent can be tried without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

commands: Final = typer.Typer()
emulate: Final = typer.Typer(
    help="Answer as a printer would, so that an agent can be tried without one.",
    no_args_is_help=True,
)
commands.add_typer(emulate, name="emulate")


@emulate.callback()
def _subjects() -> None:
    """Answer as a printer would, so that an agent can be tried without one."""


@emulate.command()
def marlin(
    *,
    link: Annotated[Path, typer.Option(help="where the port is to appear")] = Path("marlin"),
    seed: Annotated[int, typer.Option(help="of the printer, its jobs and its noise")] = 7,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="how many times faster than real time")
    ] = 5.0,
) -> None:
    """Answer as Marlin does at a pseudo-terminal; an agent or a host opens it as a serial port."""
    import asyncio
    from contextlib import suppress

    from simulators.emulators.terminal import serve

    with suppress(KeyboardInterrupt):
        asyncio.run(serve(link, seed=seed, speed=speed, tell=typer.echo))
