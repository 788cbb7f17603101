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
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        help="component that fails: hotend_heater, nozzle, part_fan, ... as docs/simulators.md"
        " lists; may be repeated",
    ),
]
HoursOption = Annotated[
    float, typer.Option(min=0.01, help="simulated hours from a fault's onset to its failure")
]
SpeedOption = Annotated[
    int, typer.Option(min=1, max=1000, help="how many times faster than real time")
]
SeedOption = Annotated[int, typer.Option(help="of the printer, its jobs and its noise")]
IdleOption = Annotated[bool, typer.Option("--idle", help="start no jobs; wait for orders")]


@emulate.callback()
def _subjects() -> None:
    """Answer as a printer would, so that an agent can be tried without one."""


@emulate.command()
def klippy(
    *,
    socket: Annotated[Path, typer.Option(help="Unix socket to serve")] = Path("/tmp/klippy_uds"),  # noqa: S108 - where Moonraker looks
    sd_path: Annotated[Path | None, typer.Option(help="folder of G-code files")] = None,
    fault: FaultOption = None,
    hours_to_failure: HoursOption = 1.0,
    speed: SpeedOption = 1,
    seed: SeedOption = 1,
    idle: IdleOption = False,
) -> None:
    """Answer Klipper's API on a Unix socket; stand a Moonraker before it, and an agent there."""
    from simulators.emulators.klippy_run import serve
    from simulators.emulators.printer import Setting

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    setting = Setting(
        seed=seed, jobs=not idle, faults=_faults(fault), hours_to_failure=hours_to_failure
    )
    serve(setting, socket, speed=speed, sd_path=str(sd_path or ""), tell=tell)


@emulate.command()
def bambu(
    *,
    serial: Annotated[str, typer.Option(help="the printer's serial number")] = "01S00A000000001",
    access_code: Annotated[str, typer.Option(help="by which it lets an agent in")] = "12345678",
    port: Annotated[int, typer.Option(help="of its own MQTT broker; 0 for any that is free")] = 0,
    fault: FaultOption = None,
    hours_to_failure: HoursOption = 1.0,
    speed: SpeedOption = 1,
    seed: SeedOption = 1,
    idle: IdleOption = False,
) -> None:
    """Report over a broker of its own, as Bambu Lab's printers do; prints how to read it."""
    from simulators.emulators.printer import Setting
    from stack.emulators.bambu import run

    setting = Setting(
        seed=seed,
        step_s=1.0,
        jobs=not idle,
        faults=_faults(fault),
        hours_to_failure=hours_to_failure,
    )
    run(setting, serial=serial, access_code=access_code, port=port, speed=speed, tell=typer.echo)


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

    from foremend.errors import ConfigurationError
    from simulators.emulators.terminal import serve

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve(link, seed=seed, speed=speed, tell=typer.echo))
    except OSError as error:
        raise ConfigurationError(f"--link {link}: {error.strerror or error}") from error


def _faults(components: list[str] | None) -> tuple[str, ...]:
    """Take components that are to fail; a printer has them all."""
    from foremend.errors import ConfigurationError
    from simulators import specs

    known = [part.instance for part in specs.load("printer").parts]
    for component in components or ():
        if component not in known:
            there = ", ".join(known)
            raise ConfigurationError(f"--fault: a printer has no {component}; it has {there}")
    return tuple(components or ())
