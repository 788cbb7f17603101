"""A printer behind OctoPrint: its push socket is listened to, its REST API is told what to do.

OctoPrint 1.5 and newer. Without the permission to see the terminal, heaters' power and errors that
stand only there are not told; the rest is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from edge_agent.downlink.answers import fitting
from edge_agent.downlink.kinds import DIAGNOSTICS, OF_PRINTERS, CommandFailed
from edge_agent.live.source import LiveConfig, LiveSource
from edge_agent.live.words import Told
from edge_agent.selftest.gcode import GcodeBench
from edge_agent.source import Happening
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.octoprint.words import EVENTS, LOGS, Hearing
from foremend.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from websockets.asyncio.client import ClientConnection

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
RATE_S: Final = 0.5
"""The shortest time between two states; a throttle factor makes it so many times longer."""
MOST_MESSAGE: Final = 4 * 1024**2
"""Bytes; the history of half an hour, with many heaters."""
TIMEOUT_S: Final = 10.0
VERSION: Final = "octoprint_version"
"""Event code: which OctoPrint answers; told when it is another than before."""
_JOBS: Final[dict[str, dict[str, str]]] = {
    "pause": {"command": "pause", "action": "pause"},
    "resume": {"command": "pause", "action": "resume"},
    "cancel": {"command": "cancel"},
}


class OctoPrintConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach an OctoPrint."""

    mapping: str = "octoprint"
    url: str
    """`http://host` or `https://host`, with a path where it lies behind one."""
    api_key: str | None = None
    """Of a user who may see status and terminal, and print and control to be told."""
    api_key_file: str | None = None
    """The path of a file that holds the key alone, in its place."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigurationError("source.url: begins with http:// or https://")
        if (self.api_key is None) is (self.api_key_file is None):
            raise ConfigurationError("source: either api_key or api_key_file is needed")

    def key(self) -> str:
        """Give the API key.

        Raises:
            Unavailable: the file cannot be read; it may be put there later.
        """
        if self.api_key_file is None:
            return self.api_key or ""
        try:
            return Path(self.api_key_file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self.api_key_file} cannot be read: {error}") from error

    @property
    def base(self) -> str:
        """Where its API lies."""
        return self.url.rstrip("/")

    @property
    def socket(self) -> str:
        """Where its push socket lies."""
        return f"ws{self.base.removeprefix('http')}/sockjs/websocket"

    @property
    def ask_every_s(self) -> float:
        """After so long without a word it is asked whether it is there."""
        return min(self.silence_s / 3, 10.0)


class OctoPrintPeer:
    """One OctoPrint, whatever printer is behind it."""

    def __init__(self, config: OctoPrintConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._version = ""

    async def listen(self) -> AsyncGenerator[Word]:
        """Log in, subscribe, and give what is pushed."""
        try:
            async with self._rest() as rest:
                login = await _login(rest)
                version = await _answer(rest, "GET", "/api/version")
            for told in self._met(version):
                yield told
            async with self._socket(login) as socket:
                async for word in self._heard(socket):
                    yield word
        except (httpx.HTTPError, WebSocketException) as error:
            raise Unavailable(f"OctoPrint: {str(error) or type(error).__name__}") from error

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do, and in which phases at all."""
        return OF_PRINTERS

    async def run(self, kind: str, args: Details) -> Details:
        """Do it once; raises CommandFailed."""
        if args:
            raise CommandFailed(f"{kind} takes no arguments")
        try:
            async with self._rest() as rest:
                if kind == DIAGNOSTICS:
                    return await _diagnostics(rest)
                await _answer(rest, "POST", "/api/job", _JOBS[kind])
        except httpx.HTTPError as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        return {}

    def bench(self) -> GcodeBench:
        """Give what a self-test tells it: lines, as its terminal's user would send them."""
        return GcodeBench(self._say)

    async def _say(self, lines: tuple[str, ...]) -> None:
        try:
            async with self._rest() as rest:
                await _answer(rest, "POST", "/api/printer/command", {"commands": lines})
        except httpx.HTTPError as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    def _rest(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._config.base,
            headers={"X-Api-Key": self._config.key()},
            timeout=min(TIMEOUT_S, self._config.silence_s),
            # Certificates are only loaded where they are needed: they cost megabytes.
            verify=self._config.url.startswith("https"),
            trust_env=False,
        )

    @asynccontextmanager
    async def _socket(self, login: Mapping[str, Any]) -> AsyncIterator[ClientConnection]:
        config = self._config
        async with connect(
            config.socket,
            max_size=MOST_MESSAGE,
            max_queue=4,
            compression=None,
            open_timeout=TIMEOUT_S,
            close_timeout=1,
            ping_interval=None,
            proxy=None,
        ) as socket:
            for message in _opening(login, config.every_s):
                await socket.send(msgspec.json.encode(message), text=True)
            yield socket

    async def _heard(self, socket: ClientConnection) -> AsyncGenerator[Word]:
        """Give what comes; in between, where nothing does, that it is still there."""
        hearing = Hearing()
        while True:
            try:
                async with asyncio.timeout(self._config.ask_every_s):
                    message = await socket.recv()
            except TimeoutError:
                await (await socket.ping())
                yield Told()
                continue
            for word in hearing.take(message, self._site.now_ms()):
                yield word

    def _met(self, version: Mapping[str, Any]) -> list[Happening]:
        name = str(version.get("server", ""))[:64]
        if name == self._version:
            return []
        self._version = name
        return [Happening(ts_ms=self._site.now_ms(), code=VERSION, details={"version": name})]


def _opening(login: Mapping[str, Any], every_s: float) -> list[dict[str, Any]]:
    """Give what is said first: who we are, how often we wish to hear, and what of."""
    state = {"logs": LOGS, "messages": False}
    subscription = {"state": state, "events": [*EVENTS, "Error"], "plugins": []}
    return [
        {"auth": f"{login.get('name')}:{login.get('session')}"},
        {"throttle": max(1, int(every_s / RATE_S))},
        {"subscribe": subscription},
    ]


async def _login(rest: httpx.AsyncClient) -> dict[str, Any]:
    """Give name and session; raises Unavailable, as a key may be made valid later."""
    answer = await rest.post("/api/login", json={"passive": True})
    if answer.is_client_error:
        raise Unavailable(
            "OctoPrint refuses the key of source.api_key or source.api_key_file: was it revoked?"
        )
    return _read(answer, "/api/login")


async def _answer(
    rest: httpx.AsyncClient, method: str, path: str, said: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give the answer's fields, none for an empty one.

    Raises:
        Unavailable: it refuses, or answers something else than JSON.
    """
    return _read(await rest.request(method, path, json=said), path)


def _read(answer: httpx.Response, path: str) -> dict[str, Any]:
    if answer.status_code == HTTPStatus.FORBIDDEN:
        raise Unavailable(f"OctoPrint forbids {path}: the API key's user lacks a permission")
    if answer.is_error:
        raise Unavailable(f"OctoPrint answers {answer.status_code} to {path}")
    try:
        found = msgspec.json.decode(answer.content) if answer.content else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"OctoPrint answers {path} with something else than JSON") from error
    return found if isinstance(found, dict) else {}


async def _diagnostics(rest: httpx.AsyncClient) -> Details:
    """Give what a technician asks first."""
    version = await _answer(rest, "GET", "/api/version")
    connection = await _answer(rest, "GET", "/api/connection")
    job = await _answer(rest, "GET", "/api/job")
    current = connection.get("current")
    port = current if isinstance(current, dict) else {}
    return fitting(
        {
            "version": version.get("server"),
            "state": port.get("state"),
            "port": port.get("port"),
            "baudrate": port.get("baudrate"),
            "error": job.get("error"),
        }
    )


def _make(config: OctoPrintConfig, site: Site) -> LiveSource:
    return LiveSource(OctoPrintPeer(config, site), config, site)


KIND: Final = SourceKind(config=OctoPrintConfig, make=_make)
