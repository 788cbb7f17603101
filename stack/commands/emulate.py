"""Devices to try the agent on, without a device."""

from __future__ import annotations

from typing import Annotated, Final

import typer

commands: Final = typer.Typer()
emulate: Final = typer.Typer(
    help="Speak as a device does, upon a simulated printer, until Ctrl-C.", no_args_is_help=True
)
commands.add_typer(emulate, name="emulate")

SeedOption = Annotated[int, typer.Option(help="which unit it is, and which jobs it does")]
FaultOption = Annotated[
    str | None, typer.Option(help="a component that is to fail, for example hotend_fan")
]
FailsInOption = Annotated[
    float, typer.Option(help="hours of the printer's time until it does; the fault grows till then")
]
SpeedOption = Annotated[float, typer.Option(help="seconds of the printer's time in one second")]


@emulate.command()
def bambu(
    *,
    serial: Annotated[str, typer.Option(help="the printer's serial number")] = "01S00A000000001",
    port: Annotated[int, typer.Option(help="of its own MQTT broker; 0 for any that is free")] = 0,
    seed: SeedOption = 1,
    fault: FaultOption = None,
    fails_in: FailsInOption = 24.0,
    speed: SpeedOption = 1.0,
) -> None:
    """Be a printer that reports over its own MQTT broker, as Bambu Lab's do."""
    from stack.emulators.bambu import Options, run

    run(
        Options(serial=serial, port=port, seed=seed, fault=fault, fails_in_h=fails_in, speed=speed),
        typer.echo,
    )
