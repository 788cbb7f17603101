"""A CAN bus (python-can) read without blocking the agent: opened, followed, and let go of.

python-can's own Notifier is not used: a reader of its that fails leaves nobody told, and its thread
is joined by blocking whoever stops it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import can

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

LOG: Final = logging.getLogger(__name__)
TICK_S: Final = 0.2
"""So often it is told that nothing came."""
MOST_AT_ONCE: Final = 64
"""Frames that are read before others have a turn."""


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[can.BusABC]:  # noqa: ANN401 - python-can's own
    """Open a bus in a thread, since some adapters take seconds; close it likewise."""
    opening = asyncio.ensure_future(asyncio.to_thread(can.Bus, **settings))
    try:
        bus = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if not opening.exception():
            await asyncio.to_thread(_close, opening.result())
        raise
    try:
        yield bus
    finally:
        await asyncio.to_thread(_close, bus)


def _close(bus: can.BusABC) -> None:
    """Close it; one that is gone cannot be told goodbye."""
    try:
        bus.shutdown()
    except (can.CanError, OSError):
        _let_go(bus)


def _let_go(bus: can.BusABC) -> None:
    """Close the port of a serial adapter, which `shutdown` leaves open where it fails."""
    port = getattr(bus, "serialPortOrig", None)
    if port is not None:
        port.close()


async def frames(bus: can.BusABC) -> AsyncGenerator[can.Message | None]:
    """Give frames as they come, and None where none came for TICK_S.

    Raises:
        CanError, OSError: the bus cannot be read any more.
    """
    try:
        watched = bus.fileno()
    except NotImplementedError:
        watched = -1
    following = _by_thread(bus) if watched < 0 else _by_file(bus, watched)
    try:
        async for message in following:
            yield message
    finally:
        await following.aclose()


def _received(bus: can.BusABC, timeout_s: float) -> can.Message | None:
    """Receive a frame; a line of a serial adapter that is none is left out."""
    try:
        return bus.recv(timeout_s)
    except (ValueError, IndexError):
        LOG.debug("the adapter says what is no frame")
        return None


async def _by_file(bus: can.BusABC, watched: int) -> AsyncGenerator[can.Message | None]:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(watched, readable.set)
    try:
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await readable.wait()
            except TimeoutError:
                yield None
                continue
            readable.clear()
            for _ in range(MOST_AT_ONCE):
                message = _received(bus, 0)
                if message is None:
                    break
                yield message
    finally:
        loop.remove_reader(watched)


async def _by_thread(bus: can.BusABC) -> AsyncGenerator[can.Message | None]:
    while True:
        receiving = asyncio.ensure_future(asyncio.to_thread(_received, bus, TICK_S))
        try:
            message = await asyncio.shield(receiving)
        except asyncio.CancelledError:
            # Whoever closes the bus next must not do so while the thread reads it.
            await asyncio.wait([receiving])
            raise
        yield message
