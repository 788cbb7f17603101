"""Runs the fleet as a process of its own, from settings."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from edge_agent.config import BrokerConfig
from foremend.errors import ConfigurationError
from simulators.demo import MACHINES, PRINTERS
from stack.fleet.run import FleetConfig, run

if TYPE_CHECKING:
    from pathlib import Path

    from foremend.settings import Settings

TIMELINE = "sim:demo"


def serve(settings: Settings, *, scale: float, seed: int) -> None:
    """Run the fleet until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a device has no key, or the crew no token.
    """
    asyncio.run(_serve(_config(settings, scale=scale, seed=seed)))


async def _serve(config: FleetConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    await run(config, stop)


def _config(settings: Settings, *, scale: float, seed: int) -> FleetConfig:
    token = os.environ.get("FOREMEND_CREW_TOKEN", "")
    if not token:
        raise ConfigurationError(
            "the simulated crew needs FOREMEND_CREW_TOKEN, which `foremend up` gives the fleet that"
            " it starts; `simulate fleet` and `simulate year` need none"
        )
    folder = settings.data_dir / "fleet"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FleetConfig(
        folder=folder,
        tenant=settings.tenant,
        timeline=TIMELINE,
        broker=BrokerConfig(host=settings.broker_host, port=settings.broker_port),
        passwords={name: _key(settings.data_dir, name) for name in (*PRINTERS, *MACHINES)},
        api_url=f"http://{settings.api_host}:{settings.api_port}",
        crew_token=token,
        scale=scale,
        seed=seed,
        command_keys=tuple(
            file.read_text("ascii") for file in sorted(settings.command_keys_dir.glob("*.pem"))
        ),
    )


def _key(data_dir: Path, device: str) -> str:
    file = data_dir / "keys" / f"device-{device}"
    try:
        return file.read_text("ascii").strip()
    except FileNotFoundError:
        raise ConfigurationError(f"{device} has no key at {file}") from None
