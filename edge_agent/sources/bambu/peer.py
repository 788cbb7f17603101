"""The printer's own broker: reports heard, everything asked for seldom, commands said."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import aiomqtt
import msgspec
from msgspec import Meta

from edge_agent.downlink.kinds import DIAGNOSTICS, OF_PRINTERS, CommandFailed
from edge_agent.live.source import LiveConfig, LiveSource, Seconds
from edge_agent.selftest.gcode import GcodeBench
from edge_agent.sources.bambu import trust
from edge_agent.sources.bambu.report import Reader
from edge_agent.sources.kinds import SourceKind
from foremend import wire  # noqa: TC001 - msgspec reads the annotations at run time
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

USER: Final = "bblp"
ANSWER_S: Final = 10.0
"""How long a command's answer is waited for."""
_WORDS: Final = {"pause": "pause", "resume": "resume", "cancel": "stop"}
"""Kind -> the printer's word."""


class BambuConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a printer in LAN mode."""

    mapping: str = "bambu"
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    serial: wire.Id
    """The printer's serial number: its topics bear it."""
    username: str = USER
    password: str
    """The access code that the printer shows in its network settings."""
    fingerprint: str | None = None
    """SHA-256 of the printer's certificate, as `foremend agent discover` prints it."""
    ca: str | None = None
    """Or a file with the authority that signed it."""
    tls: bool = True
    """False only for an emulator on this machine."""
    ask_s: Seconds = 15.0
    """A printer that has said nothing for so long is asked for its version: it is there."""
    all_every_s: Seconds = 300.0
    """Between two requests for everything at least: more often makes a P1 or A1 lag
    (ha-bambulab). A printer that tells changes alone is known in part until then."""
    stale_after_s: Seconds = 45.0
    silence_s: Seconds = 60.0


class BambuPeer:
    """One printer."""

    def __init__(self, config: BambuConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._client: aiomqtt.Client | None = None
        self._asked_all_at: float | None = None
        self._knows_all = False
        self._number = 0
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> AsyncGenerator[Word]:
        """Connect, ask for everything as soon as that is allowed, and give what is reported."""
        reader = Reader()
        async with self._connected() as client:
            await client.subscribe(f"device/{self._config.serial}/report")
            self._knows_all = False
            async for payload in self._payloads(client):
                self._settle(payload)
                for word in reader.words(payload, self._site.now_ms()):
                    yield word

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do."""
        return OF_PRINTERS

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - none takes any
        """Say it, and wait for the printer's own answer; raises CommandFailed."""
        if kind == DIAGNOSTICS:
            answer = await self._ask("info", "get_version")
            modules = answer.get("module")
            told = modules if isinstance(modules, list) else []
            named = [m for m in told[:32] if isinstance(m, dict) and "name" in m]
            return {str(m["name"])[:64]: str(m.get("sw_ver", ""))[:64] for m in named}
        await self._order(_WORDS[kind])
        return {}

    def bench(self) -> GcodeBench:
        """Give what a self-test tells it; `P1` is the part's fan among several."""
        return GcodeBench(self._lines, fan="M106 P1")

    async def _lines(self, lines: tuple[str, ...]) -> None:
        await self._order("gcode_line", param="".join(f"{line}\n" for line in lines))

    async def _order(self, command: str, **more: str) -> None:
        answer = await self._ask("print", command, **more)
        if str(answer.get("result", "")).lower() != "success":
            raise CommandFailed(f"the printer refused: {answer.get('reason') or 'no reason given'}")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiomqtt.Client]:
        config = self._config
        try:
            context = await asyncio.to_thread(self._context) if config.tls else None
            async with aiomqtt.Client(
                config.host,
                config.port,
                username=config.username,
                password=config.password,
                identifier=f"foremend-{config.serial}",
                protocol=aiomqtt.ProtocolVersion.V311,
                tls_context=context,
                keepalive=15,
                timeout=10,
            ) as client:
                self._client = client
                yield client
        except (aiomqtt.MqttError, ssl.SSLError) as error:
            refused = "; is source.password the access code that the printer shows now?"
            advice = refused if "authori" in str(error).lower() else ""
            raise Unavailable(f"the printer's broker: {error}{advice}") from error
        finally:
            self._client = None
            for answer in self._answers.values():
                answer.cancel()
            self._answers.clear()

    def _context(self) -> ssl.SSLContext:
        config = self._config
        if config.fingerprint is not None:
            return trust.pinned(config.host, config.port, config.fingerprint)
        return trust.of_authority(config.ca)

    async def _payloads(self, client: aiomqtt.Client) -> AsyncIterator[bytes]:
        """Give messages; ask for the version where none comes, since deltas may be silence."""
        messages = aiter(client.messages)
        coming = asyncio.ensure_future(anext(messages))
        try:
            while True:
                await self._ask_all(client)
                done, _ = await asyncio.wait([coming], timeout=self._config.ask_s)
                if not done:
                    await self._say(client, "info", "get_version", self._next())
                    continue
                payload = coming.result().payload
                coming = asyncio.ensure_future(anext(messages))
                if isinstance(payload, bytes):
                    yield payload
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _ask_all(self, client: aiomqtt.Client) -> None:
        now, before = time.monotonic(), self._asked_all_at
        rested = before is None or now - before >= self._config.all_every_s
        if rested and not self._knows_all:
            self._asked_all_at, self._knows_all = now, True
            await self._say(client, "pushing", "pushall", self._next())

    def _next(self) -> str:
        self._number += 1
        return str(self._number)

    async def _say(
        self, client: aiomqtt.Client, topic: str, command: str, number: str, **more: str
    ) -> None:
        said = {topic: {"sequence_id": number, "command": command, **more}}
        await client.publish(
            f"device/{self._config.serial}/request", msgspec.json.encode(said), qos=1
        )

    async def _ask(self, topic: str, command: str, **more: str) -> dict[str, Any]:
        client = self._client
        if client is None:
            raise CommandFailed("the printer is not connected")
        number = self._next()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self._say(client, topic, command, number, **more)
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError as error:
            raise CommandFailed(f"no answer to {command} in {ANSWER_S:g} s") from error
        except aiomqtt.MqttError as error:
            raise CommandFailed(f"the printer is not reached: {error}") from error
        except asyncio.CancelledError as error:
            if self._client is client:
                raise
            raise CommandFailed("the printer went away") from error
        finally:
            self._answers.pop(number, None)

    def _settle(self, payload: bytes) -> None:
        """Give an answer to whoever waits for it."""
        if not self._answers:
            return
        try:
            report = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        for told in report.values() if isinstance(report, dict) else ():
            if isinstance(told, dict):
                waiting = self._answers.pop(str(told.get("sequence_id")), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(told)


def make(config: BambuConfig, site: Site) -> LiveSource:
    """Make the source of one printer."""
    return LiveSource(BambuPeer(config, site), config, site)


KIND: Final = SourceKind(config=BambuConfig, make=make)
