"""Where readings come from: the `Source` Protocol, and the two sources that need no device."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from foremend.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from foremend.clock import Millis
    from foremend.wire import Channel, Component, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a device is: the part of its birth that the source knows."""

    channels: tuple[Channel, ...]
    components: tuple[Component, ...] = ()
    family: str
    model: str
    firmware: str = ""
    patient: bool = False
    """Whether it can be made to wait, as a recording can, so that a full outbox loses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """All channels of the device at one instant."""

    ts_ms: Millis
    values: tuple[float | None, ...]
    """In the order of the description's channels; None where nothing was read."""
    phase: int = 0
    quality: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened: becomes an event on the wire."""

    ts_ms: Millis
    code: str
    severity: Literal["info", "warning", "error", "critical"] = "info"
    component: str | None = None
    details: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in the stream: `reached` is called once all before it is on the disk."""

    reached: Callable[[], None]


Item = Frame | Happening | Mark


class Source(Protocol):
    """One device's readings."""

    def describe(self) -> Description:
        """Say what the device is; asked once, before the first reading."""

    def read(self) -> AsyncIterator[Item]:
        """Give readings as they come, until there are no more."""

    async def close(self) -> None:
        """Let `read` end after what has been taken in so far."""


class ScriptedSource:
    """A `Source` that says what it was given and ends; for tests and short recordings."""

    def __init__(self, description: Description, items: Iterable[Item]) -> None:
        self._description = description
        self._items = items

    def describe(self) -> Description:
        """Say what the device is."""
        return self._description

    async def read(self) -> AsyncIterator[Item]:
        """Give the items in their order."""
        for item in self._items:
            yield item

    async def close(self) -> None:
        """Do nothing: the script ends by itself."""


class PushSource:
    """A `Source` into which its host pushes: for simulated devices and for replays.

    >>> await source.push(Frame(ts_ms=0, values=(21.5,)))
    >>> await source.stored()  # from here on a crash loses nothing of it
    """

    ROOM: Final = 32
    """Pushes that may wait to be taken in."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._width = len(description.channels)
        self._queue: asyncio.Queue[tuple[Item, ...] | None] = asyncio.Queue(self.ROOM)
        self._closed = False

    def describe(self) -> Description:
        """Say what the device is."""
        return self._description

    async def push(self, *items: Item) -> None:
        """Hand items over, in this order; waits while the agent takes nothing in.

        Raises:
            MalformedMessage: a frame has another number of values than there are channels.
        """
        for item in items:
            self._check(item)
        await self._queue.put(items)

    async def stored(self) -> None:
        """Wait until everything pushed so far is on the disk."""
        reached = asyncio.Event()
        await self.push(Mark(reached=reached.set))
        await reached.wait()

    async def read(self) -> AsyncIterator[Item]:
        """Give what was pushed."""
        while not (self._closed and self._queue.empty()):
            for item in await self._queue.get() or ():
                yield item

    async def close(self) -> None:
        """Let `read` end after what has been pushed so far."""
        self._closed = True
        await self._queue.put(None)

    def _check(self, item: Item) -> None:
        if isinstance(item, Frame) and len(item.values) != self._width:
            raise MalformedMessage(
                "wrong_width", f"{len(item.values)} values for {self._width} channels"
            )
