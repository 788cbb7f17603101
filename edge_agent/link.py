"""The connection to a broker as the publisher needs it, and a fake that ships."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager


class LinkDown(Unavailable):
    """The broker cannot be reached, or the connection to it has ended; it is tried again."""


def cause_of(down: BaseExceptionGroup[LinkDown]) -> str:
    """Give the words of the first error in a group."""
    inner: BaseException = down
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return str(inner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message on its way to the broker, or its last will."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message from the broker."""

    topic: str
    payload: bytes


class Link(Protocol):
    """One live connection; every method raises LinkDown once it has ended."""

    async def publish(self, said: Said) -> None:
        """Hand a message over; at QoS 1, return when the broker has it (which proves nothing)."""

    async def subscribe(self, topic_filter: str) -> None:
        """Ask for what matches the filter, at QoS 0."""

    def heard(self) -> AsyncIterator[Heard]:
        """Give what arrives."""


class Connector(Protocol):
    """Makes links."""

    def connect(self, will: Said) -> AbstractAsyncContextManager[Link]:
        """Connect with a clean session, leaving a last will; LinkDown where that fails."""


class MemoryLink:
    """A `Link` to nowhere: it keeps what is said, and hears what it is told."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.filters: list[str] = []
        self._inbox: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._down = False

    async def publish(self, said: Said) -> None:
        """Keep a message."""
        self._refuse_if_down()
        self.said.append(said)
        await asyncio.sleep(0)

    async def subscribe(self, topic_filter: str) -> None:
        """Keep a filter."""
        self._refuse_if_down()
        self.filters.append(topic_filter)

    async def heard(self) -> AsyncIterator[Heard]:
        """Give what `tell` was given."""
        while (message := await self._inbox.get()) is not None:
            yield message
        self._refuse_if_down()

    def tell(self, heard: Heard) -> None:
        """Let a message arrive."""
        self._inbox.put_nowait(heard)

    def cut(self) -> None:
        """End the connection, as a broker that dies would."""
        self._down = True
        self._inbox.put_nowait(None)

    def _refuse_if_down(self) -> None:
        if self._down:
            raise LinkDown


class MemoryConnector:
    """A `Connector` whose links a test can look at; `up` says whether it lets anybody in."""

    def __init__(self) -> None:
        self.links: list[MemoryLink] = []
        self.wills: list[Said] = []
        self.up = True
        self.tries = 0

    @asynccontextmanager
    async def connect(self, will: Said) -> AsyncIterator[MemoryLink]:
        """Make a new link."""
        self.tries += 1
        if not self.up:
            raise LinkDown
        link = MemoryLink()
        self.links.append(link)
        self.wills.append(will)
        yield link
