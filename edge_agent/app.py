"""The composition root of the agent's process: one device, one source, one outbox."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from edge_agent import logs
from edge_agent.agent import Agent
from edge_agent.config import HostConfig, read_config
from edge_agent.eviction import Bounds
from edge_agent.outbox import open_outbox
from edge_agent.sources.kinds import make_source
from foremend.clock import wall_ms
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from pathlib import Path


def run(config_path: Path) -> None:
    """Run one agent until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: the file is wrong, or another process uses the outbox.
    """
    config = read_config(config_path)
    logs.configure(config.log_level)
    outbox = config_path.parent / config.outbox
    try:
        asyncio.run(_host(config, outbox))
    except BaseExceptionGroup as group:
        # Callers are told of what we know by its own name, not by that of the task it broke.
        known = group.subgroup(ForemendError)
        if known is None:
            raise
        raise _innermost(known) from group


async def _host(config: HostConfig, outbox: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    bounds = Bounds(max_bytes=config.agent.outbox_bytes)
    async with open_outbox(outbox, wall_ms) as file:
        view = file.device(config.agent.device, bounds)
        await Agent(config.agent, make_source(config.source), view, wall_ms).run(stop)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
