"""Server-sent events: one listening connection a process, fanned out to whoever is connected."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.access import ServerDep, UserDep
from api.accounts import User
from api.news import RESYNC, SQL, News, Reader
from foremend.db import Connection
from foremend.db.listen import attend

QUEUE: Final = 256
"""News that a slow client may be behind; beyond it, it is told to read everything again."""
SESSION_S: Final = 1800.0
"""A stream ends after half an hour: the browser comes back, and is asked again who it is."""
RETRY_MS: Final = 2000

router: Final = APIRouter(tags=["stream"])


class Client:
    """One open stream; lives on the event loop alone."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.queue: asyncio.Queue[News | None] = asyncio.Queue(QUEUE)

    def offer(self, news: News) -> None:
        """Queue what concerns the user; what does not fit is replaced by one resync."""
        if not news.concerns(self.user):
            return
        if self.queue.full():
            self._empty()
            news = _resync()
        self.queue.put_nowait(news)

    def close(self) -> None:
        """End the stream after what is queued."""
        if self.queue.full():
            self._empty()
        self.queue.put_nowait(None)

    def _empty(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()


class Hub:
    """Listens in a thread of its own and hands news to the event loop.

    `open` and `close` are called on the loop; a lost database is waited for by `attend`.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._clients: set[Client] = set()
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return len(self._clients)

    @property
    def listening(self) -> bool:
        """Whether the listening thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def open(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._listen, name="api-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every stream and the listening; from any thread."""
        self._stop.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close_all)

    def join(self) -> None:
        """Wait for the listening thread to end."""
        if self._thread is not None:
            self._thread.join(timeout=15)

    @contextmanager
    def client(self, user: User) -> Iterator[Client]:
        """Register one stream while the block runs."""
        client = Client(user)
        self._clients.add(client)
        if self._stop.is_set():
            client.close()
        try:
            yield client
        finally:
            self._clients.discard(client)

    def publish(self, news: Iterable[News]) -> None:
        """Hand news to every client that they concern; on the loop."""
        for one in news:
            for client in self._clients:
                client.offer(one)

    def _listen(self) -> None:
        reader = Reader()

        def work(connection: Connection) -> bool:
            found = reader.read(connection)
            if found and self._loop is not None and not self._stop.is_set():
                self._loop.call_soon_threadsafe(self.publish, found)
            return False

        attend(self._url, name="api-listener", listen=SQL["listen"], work=work, stop=self._stop)

    def _close_all(self) -> None:
        for client in self._clients:
            client.close()


def _resync() -> News:
    return News(kind=RESYNC, id="", tenant="", region="")


def hub_of(server: ServerDep) -> Hub:
    """Give the process's hub."""
    return server.hub


@router.get("/stream", response_class=EventSourceResponse)
async def stream(
    hub: Annotated[Hub, Depends(hub_of)], user: UserDep
) -> AsyncIterator[ServerSentEvent]:
    """Stream what happens: events `prediction`, `alert`, `work_order` and `resync`.

    Each event's data is a JSON object with the timeline, device, component and state. Comments
    every 15 s keep the connection open.
    """
    ends = time.monotonic() + SESSION_S
    with hub.client(user) as client:
        yield ServerSentEvent(event="hello", data={"login": user.login}, retry=RETRY_MS)
        while (left := ends - time.monotonic()) > 0:
            try:
                news = await asyncio.wait_for(client.queue.get(), timeout=left)
            except TimeoutError:
                return
            if news is None:
                return
            yield ServerSentEvent(event=news.kind, data=news.body, id=news.id or None)
