"""Programs that answer as printers would, so that an agent can be tried without one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from simulators.emulators.printer import Setting

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

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    setting = _setting(fault, hours_to_failure, seed=seed, idle=idle)
    serve(setting, socket, speed=speed, sd_path=str(sd_path or ""), tell=tell)


@emulate.command()
def bambu(
    *,
    serial: Annotated[str, typer.Option(help="the printer's serial number")] = "01S00A000000001",
    access_code: Annotated[str, typer.Option(help="by which it lets an agent in")] = "12345678",
    port: Annotated[
        int, typer.Option(help="of its MQTT broker, behind TLS; 0 for any that is free")
    ] = 8883,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="folder for its certificate, which a printer keeps"
            " [default: ~/.cache/foremend/SERIAL]"
        ),
    ] = None,
    fault: FaultOption = None,
    hours_to_failure: HoursOption = 1.0,
    speed: SpeedOption = 1,
    seed: SeedOption = 1,
    idle: IdleOption = False,
) -> None:
    """Report over a broker of its own, as Bambu Lab's printers do; prints how to read it.

    It gives notice of itself on this machine, so that `foremend agent discover` finds it.
    """
    from dataclasses import replace

    from stack.emulators.bambu import Terms, run

    setting = replace(_setting(fault, hours_to_failure, seed=seed, idle=idle), step_s=1.0)
    terms = Terms(serial=serial, port=port, access_code=access_code, speed=speed)
    run(setting, terms, keep or Path.home() / ".cache" / "foremend" / serial, typer.echo)


@emulate.command()
def marlin(
    *,
    link: Annotated[Path, typer.Option(help="where the port is to appear")] = Path("marlin"),
    fault: FaultOption = None,
    hours_to_failure: HoursOption = 1.0,
    speed: SpeedOption = 1,
    seed: SeedOption = 1,
    idle: IdleOption = False,
) -> None:
    """Answer as Marlin does at a pseudo-terminal; an agent or a host opens it as a serial port."""
    import asyncio

    from foremend.errors import ConfigurationError
    from simulators.emulators.terminal import serve

    setting = _setting(fault, hours_to_failure, seed=seed, idle=idle)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve(setting, link, speed=speed, tell=typer.echo))
    except OSError as error:
        raise ConfigurationError(f"--link {link}: {error.strerror or error}") from error


def _setting(fault: list[str] | None, hours_to_failure: float, *, seed: int, idle: bool) -> Setting:
    from simulators.emulators.printer import Setting

    return Setting(
        seed=seed,
        jobs=not idle,
        at_once=not idle,
        faults=_faults(fault),
        hours_to_failure=hours_to_failure,
    )


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
