"""Klipper's API on a Unix socket: docs/API_Server.md of Klipper.

Messages are JSON, each ended by the byte 0x03.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from simulators.emulators.klippy_host import HELP, GcodeError, KlippyHost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

LOG: Final = logging.getLogger(__name__)
END: Final = b"\x03"
TICK_S: Final = 0.25
"""Klipper tells what has changed so often."""
MAX_BYTES: Final = 2**22
_Params = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Client:
    """One connection and what it asked to be told."""

    writer: asyncio.StreamWriter
    wanted: dict[str, list[str] | None] = field(default_factory=dict)
    template: _Params = field(default_factory=dict)
    told: dict[str, _Params] = field(default_factory=dict)
    output: _Params | None = None

    def send(self, message: _Params) -> None:
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message).encode() + END)


class KlippySocket:
    """Serves one emulated Klipper.

    >>> async with KlippySocket(host, Path("/tmp/klippy_uds"), clock=monotonic) as klippy:
    ...     await klippy.run(steps_per_tick=1)
    """

    def __init__(self, host: KlippyHost, path: Path, *, clock: Callable[[], float]) -> None:
        self._host, self._path, self._clock = host, path, clock
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._restarts = host.restarts
        self._awake = asyncio.Event()
        self._awake.set()
        self._endpoints: Final[dict[str, Callable[[_Client, _Params], _Params]]] = {
            "info": lambda _client, _told: self._info(),
            "list_endpoints": lambda _client, _told: {"endpoints": sorted(self._endpoints)},
            "objects/list": lambda _client, _told: {"objects": list(host.status())},
            "objects/query": lambda _client, told: self._query(told),
            "objects/subscribe": self._subscribe,
            "gcode/help": lambda _client, _told: dict(HELP),
            "gcode/script": lambda _client, told: self._script(str(told.get("script", ""))),
            "gcode/restart": lambda _client, _told: self._script("RESTART"),
            "gcode/firmware_restart": lambda _client, _told: self._script("FIRMWARE_RESTART"),
            "gcode/subscribe_output": self._subscribe_output,
            "emergency_stop": lambda _client, _told: self._stop(),
            "register_remote_method": lambda _client, _told: {},
            "pause_resume/pause": lambda _client, _told: self._script("PAUSE"),
            "pause_resume/resume": lambda _client, _told: self._script("RESUME"),
            "pause_resume/cancel": lambda _client, _told: self._script("CANCEL_PRINT"),
            "query_endstops/status": lambda _client, _told: dict.fromkeys("xyz", "open"),
        }

    async def __aenter__(self) -> Self:
        if await self._is_answered():
            raise OSError(errno.EADDRINUSE, "another Klippy answers there", str(self._path))
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_BYTES)
        return self

    async def _is_answered(self) -> bool:
        """Tell a socket that is served from one that a killed program left behind."""
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            return False
        writer.close()
        return True

    async def __aexit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.close()
        for client in tuple(self._clients):
            client.writer.transport.abort()
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def run(
        self,
        *,
        steps_per_tick: int = 1,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Step the simulation and tell what has changed, for ever."""
        while True:
            await pause(TICK_S)
            await self._awake.wait()
            for _ in range(steps_per_tick):
                self._host.step()
            self.tell()

    def tell(self) -> None:
        """Tell each client what has changed since it was last told."""
        status, eventtime = self._host.status(), self._clock()
        for client in tuple(self._clients):
            changed = _changes(client, status)
            if changed:
                told = {"eventtime": eventtime, "status": changed}
                client.send({**client.template, "params": told})
        self._tell_output()
        self._drop_after_restart()

    def hang(self, *, hangs: bool) -> None:
        """Stay connected and neither answer nor tell anything, or go on."""
        if hangs:
            self._awake.clear()
        else:
            self._awake.set()

    def _drop_after_restart(self) -> None:
        """Klipper's socket does not survive a restart of it."""
        if self._host.restarts == self._restarts:
            return
        self._restarts = self._host.restarts
        for client in tuple(self._clients):
            client.writer.close()

    def babble(self, noise: bytes) -> None:
        """Write what is no answer to anything, to every client."""
        for client in tuple(self._clients):
            client.writer.write(noise)

    def _tell_output(self) -> None:
        said, self._host.said = self._host.said, []
        for client in tuple(self._clients):
            for line in said if client.output is not None else ():
                client.send({**(client.output or {}), "params": {"response": line}})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer)
        self._clients.add(client)
        try:
            while True:
                message = await reader.readuntil(END)
                await self._awake.wait()
                self._take(client, message.removesuffix(END))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._clients.discard(client)
            writer.close()

    def _take(self, client: _Client, message: bytes) -> None:
        """Answer a request; what is no request is left out, as Klipper does."""
        try:
            request = json.loads(message)
            number, method = request.get("id"), request["method"]
            params = request.get("params") or {}
        except (ValueError, AttributeError, KeyError):
            LOG.warning("no request: %.100r", message)
            return
        answer = self._answer(client, method, params)
        if number is not None:
            client.send({"id": number, **answer})
        self._tell_output()

    def _answer(self, client: _Client, method: object, params: _Params) -> _Params:
        endpoint = self._endpoints.get(str(method))
        if endpoint is None:
            return _error(f"webhooks: No registered callback for path '{method}'")
        try:
            return {"result": endpoint(client, params)}
        except GcodeError as error:
            self._host.said.append(f"!! {error}")
            return _error(str(error))

    def _info(self) -> _Params:
        around = self._host.around
        return {
            "state": around.state,
            "state_message": around.state_message,
            "hostname": "emulated",
            "klipper_path": str(self._path.parent),
            "python_path": sys.executable,
            "process_id": os.getpid(),
            "user_id": os.getuid(),
            "group_id": os.getgid(),
            "log_file": str(self._path.parent / "klippy.log"),
            "config_file": str(self._path.parent / "printer.cfg"),
            "software_version": "emulated-klippy",
            "cpu_info": "emulated",
        }

    def _query(self, told: _Params) -> _Params:
        status = self._host.status()
        return {"eventtime": self._clock(), "status": _chosen(status, told.get("objects") or {})}

    def _subscribe(self, client: _Client, told: _Params) -> _Params:
        client.wanted = told.get("objects") or {}
        client.template = told.get("response_template") or {}
        answer = self._query(told)
        client.told = answer["status"]
        return answer

    def _subscribe_output(self, client: _Client, told: _Params) -> _Params:
        client.output = told.get("response_template") or {}
        return {}

    def _script(self, script: str) -> _Params:
        self._host.run(script)
        return {}

    def _stop(self) -> _Params:
        self._host.halt("Shutdown due to webhooks request")
        return {}


def _error(message: str) -> _Params:
    return {"error": {"error": "WebRequestError", "message": message}}


def _chosen(status: dict[str, _Params], wanted: dict[str, list[str] | None]) -> dict[str, _Params]:
    """Give what is asked for; an object that there is not is empty."""
    chosen: dict[str, _Params] = {}
    for name, fields in wanted.items():
        here = status.get(name, {})
        chosen[name] = {k: v for k, v in here.items() if fields is None or k in fields}
    return chosen


def _changes(client: _Client, status: dict[str, _Params]) -> dict[str, _Params]:
    now = _chosen(status, client.wanted)
    changed: dict[str, _Params] = {}
    for name, fields in now.items():
        before = client.told.get(name, {})
        new = {k: v for k, v in fields.items() if k not in before or before[k] != v}
        if new:
            changed[name] = new
    client.told = now
    return changed
