"""JSON-RPC 2.0 over a WebSocket, both ways at once: answers to what we ask, and notifications."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from edge_agent.sources.moonraker.listener import OUTPUT, Notice, may_tell
from foremend.errors import ForemendError, Remedy, Unavailable

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncGenerator

    from websockets.asyncio.client import ClientConnection

LOG: Final = logging.getLogger(__name__)
ROOM: Final = 512
"""Notifications that may wait; the oldest go first. What they changed is asked anew, and what they
told of is counted."""
MOST_LINES: Final = 200
MAX_BYTES: Final = 2**22
"""Of one message: a mesh and a list of a thousand objects fit many times."""


class Refused(ForemendError):
    """Moonraker or Klipper answered with an error."""

    remedy = Remedy.REJECT


class Rpc:
    """One connection.

    >>> async with connected("ws://127.0.0.1:7125/websocket") as rpc:
    ...     await rpc.call("server.info")
    """

    def __init__(self, socket: ClientConnection, *, answer_s: float) -> None:
        self._socket, self._answer_s = socket, answer_s
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._notices: asyncio.Queue[Notice | None] = asyncio.Queue()
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        """What the printer last said on its terminal."""
        self._spoke = asyncio.Event()
        self.overrun = False
        """Whether notifications were dropped since this was last set to false, ..."""
        self.unheard = 0
        """... and how many of them may have told of an event."""

    async def call(self, method: str, *, within_s: float | None = None, **params: object) -> Any:  # noqa: ANN401 - whatever the method answers
        """Ask, and give the result.

        Raises:
            Refused: the answer is an error.
            Unavailable: there is no answer in time, or the connection ended.
        """
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
        try:
            async with asyncio.timeout(self._answer_s if within_s is None else within_s):
                await self._socket.send(msgspec.json.encode(request).decode())
                return await answer
        except TimeoutError as error:
            raise Unavailable(f"no answer to {method}") from error
        except WebSocketException as error:
            raise Unavailable(f"the connection ended: {error}") from error
        finally:
            self._asked.pop(number, None)

    async def notice(self, within_s: float) -> Notice | None:
        """Give the next notification; None where there is none for so long.

        Raises:
            Unavailable: the connection ended.
        """
        try:
            async with asyncio.timeout(within_s):
                notice = await self._notices.get()
        except TimeoutError:
            return None
        if notice is None:
            raise Unavailable("the connection ended")
        return notice

    async def listen(self) -> None:
        """Take in what comes until the connection ends."""
        try:
            async for message in self._socket:
                self._take(message)
        except WebSocketException:
            LOG.info("the connection ended", exc_info=True)
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(Unavailable("the connection ended"))
            self._notices.put_nowait(None)

    def _take(self, message: str | bytes) -> None:
        """Leave out what is no JSON-RPC."""
        try:
            told = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            LOG.warning("a message is no JSON", extra={"bytes": len(message)})
            return
        if not isinstance(told, dict):
            return
        if isinstance(told.get("method"), str):
            params = told.get("params")
            self._keep(
                Notice(
                    method=told["method"], params=tuple(params) if isinstance(params, list) else ()
                )
            )
        elif isinstance(told.get("id"), int) and told["id"] in self._asked:
            self._answer(self._asked[told["id"]], told)

    async def said(self, wanted: re.Pattern[str], within_s: float) -> re.Match[str] | None:
        """Wait for a line: what a command prints may come after its answer. None in vain."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._spoke.clear()
                    for line in reversed(self.lines):
                        if found := wanted.search(line):
                            return found
                    await self._spoke.wait()
        except TimeoutError:
            return None

    def _keep(self, notice: Notice) -> None:
        if notice.method == OUTPUT and notice.params:
            self.lines.append(str(notice.params[0]))
            self._spoke.set()
        if self._notices.qsize() >= ROOM:
            dropped = self._notices.get_nowait()
            self.overrun = True
            self.unheard += dropped is not None and may_tell(dropped)
        self._notices.put_nowait(notice)

    @staticmethod
    def _answer(future: asyncio.Future[Any], told: dict[str, Any]) -> None:
        if future.done():
            return
        if "result" in told:
            future.set_result(told["result"])
            return
        error = told.get("error")
        text = error.get("message") if isinstance(error, dict) else error
        future.set_exception(Refused(str(text)[:256]))


@asynccontextmanager
async def connected(url: str, *, answer_s: float) -> AsyncGenerator[Rpc]:
    """Connect, and listen meanwhile.

    Raises:
        Unavailable: nobody answers there, or it is no WebSocket.
    """
    try:
        socket = await connect(
            url,
            open_timeout=answer_s,
            close_timeout=1,
            max_size=MAX_BYTES,
            compression=None,
            proxy=None,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise Unavailable(f"cannot connect: {error}") from error
    rpc = Rpc(socket, answer_s=answer_s)
    listening = asyncio.create_task(rpc.listen(), name="moonraker listens")
    try:
        yield rpc
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await socket.close()
