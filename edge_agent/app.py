"""The composition root of the agent's process: one device, one source, one outbox."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edge_agent import logs
from edge_agent.agent import Agent
from edge_agent.config import HostConfig, read_config
from edge_agent.door.admission import admitted, vault_of
from edge_agent.door.credentials import equipped
from edge_agent.mqtt_link import MqttConnector
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import open_outbox
from edge_agent.site import Site
from edge_agent.sources.kinds import make_source
from foremend.clock import wall_ms
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.door.credentials import Credentials, Vault


def run(config_path: Path) -> None:
    """Run one agent until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: the file is wrong, or another process uses the outbox.
    """
    config = read_config(config_path)
    logs.configure(config.log_level)
    vault = vault_of(config, config_path)
    known = admitted(config, vault)
    outbox = config_path.parent / config.outbox
    try:
        source = _beside(config.source, config_path.parent)
        asyncio.run(_host(replace(config, source=source), outbox, vault, known))
    except BaseExceptionGroup as group:
        # Callers are told of what we know by its own name, not by that of the task it broke.
        ours = group.subgroup(ForemendError)
        if ours is None:
            raise
        raise _innermost(ours) from group


async def _host(config: HostConfig, outbox: Path, vault: Vault, known: Credentials | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    age_s = config.agent.outbox_age_s
    bounds = Bounds(
        max_bytes=config.agent.outbox_bytes,
        max_age_ms=None if age_s is None else round(1000 * age_s),
    )
    async with open_outbox(outbox, wall_ms, ballast_bytes=config.ballast_bytes) as file:
        view = file.device(config.agent.device, bounds)
        agent = equipped(config.agent, known) if known else config.agent
        connector = MqttConnector(agent.broker, agent.device, vault.login if known else None)
        site = Site(device=config.agent.device, folder=outbox.parent)
        source = make_source(config.source, site)
        await Agent(
            agent, source, view, wall_ms, connector=connector, sampling=config.sampling
        ).run(stop)


def _beside(source: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Read a mapping of one's own beside the configuration, where it is there."""
    file = folder / str(source.get("mapping", ""))
    is_own = file.suffix == ".toml" and file.is_file()
    return source | {"mapping": str(file)} if is_own else source


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
