"""A source that reads a register map over Modbus TCP or RTU (pymodbus), one unit a source."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from edge_agent.downlink.answers import fitting
from edge_agent.downlink.kinds import ANY, DIAGNOSTICS
from edge_agent.live.reasons import reason_of
from edge_agent.live.source import LiveConfig, LiveSource, Seconds
from edge_agent.live.words import Told
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.modbus.words import BITS, Block, blocks, point
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

    Client = AsyncModbusSerialClient | AsyncModbusTcpClient

LOG: Final = logging.getLogger(__name__)
REGULAR: Final = 2
"""Read Device ID code: the basic objects and the regular ones beside them."""
IDENTITY: Final = {
    0: "vendor",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product",
    5: "model",
    6: "application",
}
"""Objects of a device's identification (Modbus Application Protocol V1.1b3, chapter 6.21)."""


class ModbusConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the unit: over TCP with `host`, over a serial line with `serial`."""

    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 502
    framing: Literal["socket", "rtu"] = "socket"
    """Over TCP: `rtu` where a converter passes a serial line's own frames through."""
    serial: str | None = None
    """A device, as `/dev/ttyUSB0`."""
    baud: Annotated[int, Meta(ge=300)] = 19200
    parity: Literal["N", "E", "O"] = "E"
    stop_bits: Literal[1, 2] = 1
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    poll_s: Seconds = 1.0
    """From one reading of the whole map to the next."""
    timeout_s: Seconds = 1.0
    """How long an answer may take."""
    gap: Annotated[int, Meta(ge=0, le=120)] = 0
    """Addresses that nobody asked for, which a request may read along to save one more."""

    def __post_init__(self) -> None:
        if (self.host is None) == (self.serial is None):
            raise ValueError("say either `host` or `serial`")


class ModbusPeer:
    """Asks one unit for its register map, again and again."""

    def __init__(self, config: ModbusConfig, paths: Iterable[str]) -> None:
        self._config = config
        self._blocks = blocks([point(path) for path in dict.fromkeys(paths)], gap=config.gap)
        self._refused: set[Block] = set()
        self._client: Client | None = None

    async def listen(self) -> AsyncGenerator[Word]:
        """Read all blocks each `poll_s`; one that is refused is told as unknown."""
        client = _client(self._config)
        try:
            if not await client.connect():
                raise Unavailable(_unreached(self._config))
            self._client = client
            while True:
                due_s = asyncio.get_running_loop().time() + self._config.poll_s
                silent = []
                for block in self._blocks:
                    words = await self._ask(client, block)
                    if words is None:
                        silent.append(block)
                        continue
                    yield Told(values=block.read(words) if words else block.nothing())
                if len(silent) == len(self._blocks):
                    raise Unavailable(f"unit {self._config.unit} does not answer")
                for block in silent:
                    yield Told(values=block.nothing())
                await asyncio.sleep(due_s - asyncio.get_running_loop().time())
        finally:
            self._client = None
            client.close()

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do: nothing that writes."""
        return {DIAGNOSTICS: ANY}

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - there is but one
        """Ask the unit who it is (function 43/14), and tell which blocks it refuses."""
        client = self._client
        if client is None:
            raise Unavailable("there is no connection")
        refused = ", ".join(sorted(f"{b.table} @{b.address} x{b.count}" for b in self._refused))
        told = {"unit": self._config.unit, "blocks": len(self._blocks), "refused": refused}
        return fitting({**told, **await self._identity(client)})

    async def _identity(self, client: Client) -> dict[str, str]:
        try:
            answer = await client.read_device_information(
                read_code=REGULAR, device_id=self._config.unit
            )
        except ModbusException as error:
            await self._let_pass(client, error)
            return {"identity": "not told"}
        if not isinstance(answer, ReadDeviceInformationResponse):
            return {"identity": "not told"}
        objects = answer.information
        return {name: _text(objects[at]) for at, name in IDENTITY.items() if at in objects}

    async def _ask(self, client: Client, block: Block) -> Sequence[int] | None:
        """Give a block's words: none where it is refused, None where nothing came."""
        read = {
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
            "input": client.read_input_registers,
            "holding": client.read_holding_registers,
        }[block.table]
        try:
            answer = await read(block.address, count=block.count, device_id=self._config.unit)
        except ModbusException as error:
            await self._let_pass(client, error)
            return None
        words: Sequence[int] = answer.bits if block.table in BITS else answer.registers
        if answer.isError() or len(words) < block.count:
            self._warn_once(block, str(answer))
            return ()
        self._refused.discard(block)
        return words

    async def _let_pass(self, client: Client, error: ModbusException) -> None:
        """Let an answer that is late go by: on a serial line nothing tells whose it is."""
        if not client.connected:
            raise Unavailable(str(error)) from error
        await asyncio.sleep(self._config.timeout_s)

    def _warn_once(self, block: Block, answer: str) -> None:
        if block not in self._refused:
            self._refused.add(block)
            first, last = block.address, block.address + block.count - 1
            told = {"table": block.table, "addresses": f"{first} to {last}", "answer": answer}
            LOG.warning("the unit refuses a block: does it have these addresses?", extra=told)


def _unreached(config: ModbusConfig) -> str:
    """Say why there is no connection, which pymodbus keeps to itself."""
    if config.serial is None:
        return f"nothing answers at {config.host}:{config.port}: are address and port right?"
    if not Path(config.serial).exists():
        number = errno.ENOENT
    else:
        number = errno.EBUSY if os.access(config.serial, os.R_OK | os.W_OK) else errno.EACCES
    return reason_of(OSError(number, os.strerror(number), config.serial))


def _text(told: bytes | list[bytes]) -> str:
    first = told[0] if isinstance(told, list) else told
    return first.decode("ascii", "replace").strip()


def _client(config: ModbusConfig) -> Client:
    """Make a client that neither reconnects nor repeats by itself: both are decided here."""
    if config.serial is not None:
        return AsyncModbusSerialClient(
            config.serial,
            baudrate=config.baud,
            parity=config.parity,
            stopbits=config.stop_bits,
            timeout=config.timeout_s,
            retries=0,
            reconnect_delay=0,
        )
    assert config.host is not None  # noqa: S101 - the configuration has one of the two
    return AsyncModbusTcpClient(
        config.host,
        port=config.port,
        framer=FramerType(config.framing),
        timeout=config.timeout_s,
        retries=0,
        reconnect_delay=0,
    )


def make(config: ModbusConfig, site: Site) -> LiveSource:
    """Make a source; raises ConfigurationError where a path of its mapping is none."""
    mapping = config.device()
    paths = [channel.path for channel in mapping.channels]
    job = [mapping.job.path] if mapping.job else []
    return LiveSource(ModbusPeer(config, paths + job), config, site)


KIND: Final = SourceKind(config=ModbusConfig, make=make)
