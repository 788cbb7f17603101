"""The composition root of the agent's process: one device, one source, one outbox."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_agent import logs
from edge_agent.agent import Agent
from edge_agent.config import HostConfig, read_config
from edge_agent.door.admission import admitted, vault_of
from edge_agent.door.credentials import equipped
from edge_agent.mqtt_link import MqttConnector
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import open_outbox
from edge_agent.site import Site
from edge_agent.sources.kinds import USUAL, make_source
from foremend.clock import wall_ms
from foremend.errors import ConfigurationError, ForemendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.config import AgentConfig
    from edge_agent.door.credentials import Credentials, Vault

LOG: Final = logging.getLogger(__name__)


def run(config_path: Path) -> None:
    """Run one agent until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: the file is wrong, or another process uses the outbox.
    """
    config = read_config(config_path)
    logs.configure(config.log_level)
    vault = vault_of(config, config_path)
    known = admitted(config, vault)
    try:
        with _told_plainly():
            asyncio.run(_host(config, config_path, vault, known))
    except ConfigurationError as error:
        raise ConfigurationError(f"{config_path}: {error}") from error


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Tell of what we know by its own name, not by that of the task it broke."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours = group.subgroup(ForemendError)
        if ours is None:
            raise
        raise _innermost(ours) from group


async def _host(
    config: HostConfig, config_path: Path, vault: Vault, known: Credentials | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    age_s = config.agent.outbox_age_s
    bounds = Bounds(
        max_bytes=config.agent.outbox_bytes,
        max_age_ms=None if age_s is None else round(1000 * age_s),
    )
    outbox = config_path.parent / config.outbox
    async with open_outbox(outbox, wall_ms, ballast_bytes=config.ballast_bytes) as file:
        view = file.device(config.agent.device, bounds)
        agent = equipped(config.agent, known) if known else config.agent
        connector = MqttConnector(agent.broker, agent.device, vault.login if known else None)
        site = Site(device=config.agent.device, folder=outbox.parent)
        source = make_source(_beside(config.source, config_path.parent), site)
        LOG.info("begins", extra=_course(config, agent, outbox))
        await Agent(
            agent, source, view, wall_ms, connector=connector, sampling=config.sampling
        ).run(stop)


def _beside(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Take files of the source from beside the configuration, where they are there."""
    near = {
        name: str(folder / told[name])
        for name in ("mapping", "path")
        if isinstance(told.get(name), str)
        and Path(told[name]).suffix
        and (folder / told[name]).exists()
    }
    return told | near


def _course(config: HostConfig, agent: AgentConfig, outbox: Path) -> dict[str, str]:
    broker = agent.broker
    return {
        "device": f"{agent.device} of {agent.tenant}",
        "reads": str(config.source.get("kind", USUAL)),
        "reports_to": f"{broker.host}:{broker.port}",
        "keeps": str(outbox),
    }


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
