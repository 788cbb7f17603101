"""The wire: every topic and every payload that crosses the broker, and nothing else.

Topics are `fm/1/{partition}/{tenant}/{device}/up/{birth|data|event|status|result}` and
`.../down/{ack|command|config}`. Payloads are JSON, or MessagePack where a device prefers it; the
first byte tells which. Of duplicate keys the last wins. Times are milliseconds since the epoch.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from foremend.errors import MalformedMessage
from foremend.values import ID_PATTERN, PARTITIONS, Timeline

MAX_PAYLOAD: Final = 256 * 1024
"""Bytes; larger messages are refused before they are read."""
MAX_FRAMES: Final = 4096
MAX_CHANNELS: Final = 256
MAX_SPAN_MS: Final = 31 * 86_400_000
"""From the first to the last frame of one message."""
TOPIC_ROOT: Final = "fm/1"
_TOPIC_LEVELS: Final = 7

Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
Text = Annotated[str, Meta(max_length=256)]
Natural = Annotated[int, Meta(ge=0, le=2**53)]
Instant = Annotated[int, Meta(ge=-(2**44), le=2**44)]
"""Milliseconds since the epoch, within some 550 years of it."""
Scalar = str | int | float | bool | None
Details = Annotated[dict[Text, Scalar], Meta(max_length=64)]


class Up(Enum):
    """What a device may say."""

    BIRTH = "birth"
    DATA = "data"
    EVENT = "event"
    STATUS = "status"
    RESULT = "result"


class Down(Enum):
    """What a device may be told."""

    ACK = "ack"
    COMMAND = "command"
    CONFIG = "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Whose messages these are; the partition follows from the device."""

    tenant: str
    device: str

    def __post_init__(self) -> None:
        for name in (self.tenant, self.device):
            if not ID_PATTERN.match(name):
                raise MalformedMessage("bad_id", f"{name!r} is not a valid id")

    @property
    def partition(self) -> int:
        """The device's partition, 0 to 63."""
        return partition_of(self.device)

    @property
    def prefix(self) -> str:
        """The part of a topic that all of the device's messages share."""
        return f"{TOPIC_ROOT}/{self.partition}/{self.tenant}/{self.device}"

    def up(self, kind: Up) -> str:
        """Give the topic on which the device says `kind`."""
        return f"{self.prefix}/up/{kind.value}"

    def down(self, kind: Down | None = None) -> str:
        """Give the topic on which the device is told `kind`, or the filter for all of them."""
        return f"{self.prefix}/down/{kind.value if kind else '#'}"


def partition_of(device: str) -> int:
    """Give a device's partition: CRC-32 of its id, modulo 64; the same in every language."""
    return zlib.crc32(device.encode()) % PARTITIONS


def up_filter(partition: int | None = None) -> str:
    """Give the topic filter that one worker subscribes to, for one partition or for all."""
    return f"{TOPIC_ROOT}/{'+' if partition is None else partition}/+/+/up/+"


def parse_up(topic: str) -> tuple[Address, Up]:
    """Read the topic of an upward message.

    Raises:
        MalformedMessage: the topic has another shape, a bad id, or another device's partition.
    """
    levels = topic.split("/")
    if len(levels) != _TOPIC_LEVELS or levels[:2] != ["fm", "1"] or levels[5] != "up":
        raise MalformedMessage("bad_topic", f"{topic!r} is not a topic that devices write to")
    _, _, partition, tenant, device, _, kind = levels
    return _checked(topic, partition, Address(tenant=tenant, device=device), kind)


def _checked(topic: str, partition: str, address: Address, kind: str) -> tuple[Address, Up]:
    if partition != str(address.partition):
        raise MalformedMessage("wrong_partition", f"{topic!r}: partition is {address.partition}")
    try:
        return address, Up(kind)
    except ValueError:
        raise MalformedMessage("bad_topic", f"{topic!r}: unknown kind {kind!r}") from None


class Channel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured quantity of a device."""

    name: Id
    unit: Text
    """UCUM code, for example `Cel`, `W`, `mm/s`, `{rpm}`; `1` for a ratio."""
    kind: Literal["gauge", "counter", "state", "context"] = "gauge"
    """`context` is what the device is asked for and what surrounds it: targets, commands, loads,
    weather. It tells nothing of health by itself; the others are judged in its light."""
    low: float | None = None
    high: float | None = None
    """The range that is physically possible, in `unit`; outside it a value is suspect."""
    statistic: Literal["sample", "min", "max", "mean", "std"] = "sample"
    component: Id | None = None
    """The component instance whose condition it speaks of."""


class Component(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One replaceable part that is fitted."""

    instance: Id
    kind: Text
    serial: Text | None = None
    installed_at_ms: Instant | None = None


class Birth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device is, said at each start and whenever ingest asks."""

    boot: Id
    boot_ms: Instant
    clock: Literal["trusted", "held"] = "trusted"
    schema: Id
    channels: Annotated[tuple[Channel, ...], Meta(max_length=MAX_CHANNELS)]
    components: Annotated[tuple[Component, ...], Meta(max_length=256)] = ()
    family: Id
    model: Text
    firmware: Text = ""
    agent: Text = ""
    timeline: Text = "live"


class Frames(Struct, frozen=True, kw_only=True):
    """Frames of one device in columns; all lists but `values` have one entry a frame."""

    t0_ms: Instant
    offset_ms: Annotated[list[Natural], Meta(min_length=1, max_length=MAX_FRAMES)]
    """From `t0_ms`; strictly increasing."""
    phase: list[Annotated[int, Meta(ge=0, le=32767)]]
    quality: list[Annotated[int, Meta(ge=0, le=32767)]]
    values: Annotated[list[list[float | None]], Meta(max_length=MAX_CHANNELS)]
    """One list a channel, in the schema's order; None where nothing was read."""


class Data(Struct, frozen=True, kw_only=True):
    """A numbered message of frames."""

    boot: Id
    seq: Natural
    schema: Id
    frames: Frames


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened: an error code, a part replaced, a job begun or ended, a gap."""

    boot: Id
    seq: Natural
    ts_ms: Instant
    code: Text
    severity: Literal["info", "warning", "error", "critical"] = "info"
    component: Id | None = None
    details: Details = {}


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the device is there; retained, and left behind as its last will."""

    boot: Id
    state: Literal["online", "offline"]
    ts_ms: Instant
    unsettled: Natural | None = None
    """Messages in the agent's outbox that were not acknowledged when it said so."""


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a command."""

    boot: Id
    seq: Natural
    ts_ms: Instant
    command: Id
    state: Literal["accepted", "refused", "finished", "failed"]
    reason: Text = ""
    details: Details = {}


class Refusal(Struct, frozen=True, kw_only=True):
    """A message that can never be stored; the agent sets it aside and stops sending it."""

    hash: str
    """`digest` of the payload's bytes."""
    reason: Text


class Ack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of one boot is committed and safe to delete."""

    boot: Text = ""
    """Empty where only refusals are told: a message that cannot be read names no boot."""
    upto: int = -1
    """Every seq from 0 to this one, inclusive; -1 for none."""
    ranges: tuple[tuple[int, int], ...] = ()
    """Further ranges, both ends inclusive."""
    refused: tuple[Refusal, ...] = ()
    birth_wanted: bool = False
    """Ingest does not know this boot or schema: say birth again, then resend."""


class Signed(Struct, frozen=True, kw_only=True):
    """A command or a configuration with its Ed25519 signature over the raw body."""

    kid: Text
    sig: bytes
    body: bytes


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a command; the agent obeys the stricter of `interlock` and its own."""

    id: Id
    tenant: Id
    device: Id
    counter: Natural
    """Rises with each command to the device; the agent refuses what it has passed."""
    kind: Id
    issued_ms: Instant
    expires_ms: Instant
    args: Details = {}
    interlock: tuple[Annotated[int, Meta(ge=0, le=32767)], ...] = ()
    """Phases in which it may run; empty means any that the agent itself allows."""


class Config(Struct, frozen=True, kw_only=True):
    """The body of a configuration: how the device should be set."""

    tenant: Id
    device: Id
    version: Natural
    """Rises with each change; the agent heeds none that it has passed."""
    issued_ms: Instant
    desired: Details
    """Setting -> value; what it does not name is set as at the start."""


UpMessage = Birth | Data | Event | Status | Result
NUMBERED: Final = (Data, Event, Result)
"""Messages that carry a seq, and are settled by the receipts."""
_UP_TYPES: Final[dict[Up, type[UpMessage]]] = {
    Up.BIRTH: Birth,
    Up.DATA: Data,
    Up.EVENT: Event,
    Up.STATUS: Status,
    Up.RESULT: Result,
}
_JSON_DECODERS: Final = {kind: msgspec.json.Decoder(t) for kind, t in _UP_TYPES.items()}
_PACK_DECODERS: Final = {kind: msgspec.msgpack.Decoder(t) for kind, t in _UP_TYPES.items()}
_JSON: Final = msgspec.json.Encoder()
_PACK: Final = msgspec.msgpack.Encoder()
_OPEN_BRACE: Final = 0x7B
_SPACE: Final = (0x20, 0x09, 0x0A, 0x0D)


def encode(message: Struct, *, packed: bool = False) -> bytes:
    """Encode any message as JSON, or as MessagePack where `packed`."""
    return _PACK.encode(message) if packed else _JSON.encode(message)


def digest(payload: bytes) -> str:
    """Give the hash by which a refused message is named: BLAKE2b, 16 bytes, hexadecimal."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def decode_up(kind: Up, payload: bytes) -> UpMessage:
    """Decode and check what a device said.

    Raises:
        MalformedMessage: too large, not of the message's form, or a number that is not finite.
    """
    if len(payload) > MAX_PAYLOAD:
        raise MalformedMessage("too_large", f"{len(payload)} bytes, at most {MAX_PAYLOAD}")
    decoders = _JSON_DECODERS if _is_json(payload) else _PACK_DECODERS
    try:
        message = decoders[kind].decode(payload)
    except msgspec.ValidationError as error:
        raise MalformedMessage("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage("undecodable", str(error)) from error
    except RecursionError as error:
        raise MalformedMessage("too_deep", "nested too deeply") from error
    _CHECKS.get(kind, _no_check)(message)
    if decoders is _PACK_DECODERS and kind is Up.DATA:
        _check_finite(message)
    return message


def _is_json(payload: bytes) -> bool:
    return bool(payload) and (payload[0] == _OPEN_BRACE or payload[0] in _SPACE)


def _no_check(message: UpMessage) -> None:
    """Let pass: the type alone is enough."""


def _check_data(message: UpMessage) -> None:
    assert isinstance(message, Data)  # noqa: S101 - the decoder of this kind made it
    frames = message.frames
    offsets = frames.offset_ms
    count = len(offsets)
    if len(frames.phase) != count or len(frames.quality) != count:
        raise MalformedMessage("ragged", f"{count} offsets, other counts of phase or quality")
    if frames.values and set(map(len, frames.values)) != {count}:
        raise MalformedMessage("ragged", f"a channel has not {count} values")
    if count > 1 and any(b <= a for a, b in pairwise(offsets)):
        raise MalformedMessage("not_increasing", "offsets must strictly increase")
    if offsets[-1] > MAX_SPAN_MS:
        raise MalformedMessage("span_too_long", f"at most {MAX_SPAN_MS} ms in one message")


def _check_finite(message: UpMessage) -> None:
    """Refuse what JSON cannot say, and its decoder never gives; MessagePack can."""
    assert isinstance(message, Data)  # noqa: S101 - the decoder of this kind made it
    for column in message.frames.values:
        # The sum of finite numbers is finite save for overflow, and is one call in C.
        if not math.isfinite(sum(filter(None, column))):
            _refuse_if_not_finite(column)


def _refuse_if_not_finite(column: list[float | None]) -> None:
    for value in column:
        if value is not None and not math.isfinite(value):
            raise MalformedMessage("not_finite", f"{value} is not a finite number")


def _check_birth(message: UpMessage) -> None:
    assert isinstance(message, Birth)  # noqa: S101 - the decoder of this kind made it
    try:
        Timeline.parse(message.timeline)
    except ValueError as error:
        raise MalformedMessage("bad_timeline", str(error)) from error
    names = {channel.name for channel in message.channels}
    if len(names) != len(message.channels):
        raise MalformedMessage("duplicate_channel", "two channels have one name")
    if message.schema != schema_hash(message.channels):
        raise MalformedMessage("wrong_schema_hash", "the schema hash is not that of the channels")


def _check_details(message: UpMessage) -> None:
    assert isinstance(message, Event | Result)  # noqa: S101 - the decoder of these kinds made it
    for value in message.details.values():
        if isinstance(value, float) and not math.isfinite(value):
            raise MalformedMessage("not_finite", f"{value} is not a finite number")


_CHECKS: Final = {
    Up.DATA: _check_data,
    Up.BIRTH: _check_birth,
    Up.EVENT: _check_details,
    Up.RESULT: _check_details,
}


def schema_hash(channels: tuple[Channel, ...]) -> str:
    """Give the name of a list of channels: order, names, units and components all count."""
    return hashlib.blake2b(_JSON.encode(channels), digest_size=12).hexdigest()


def decode_signed(payload: bytes) -> Signed:
    """Decode the envelope of a command or configuration; its body stays bytes until it is verified.

    Raises:
        MalformedMessage: too large, or not such an envelope.
    """
    if len(payload) > MAX_PAYLOAD:
        raise MalformedMessage("too_large", f"{len(payload)} bytes, at most {MAX_PAYLOAD}")
    return _decoded(payload, Signed)


def decode_command(body: bytes) -> Command:
    """Decode the verified body of a command.

    Raises:
        MalformedMessage: not a command.
    """
    return _decoded(body, Command)


def decode_config(body: bytes) -> Config:
    """Decode the verified body of a configuration.

    Raises:
        MalformedMessage: not a configuration.
    """
    return _decoded(body, Config)


S = TypeVar("S", bound=Struct)


def _decoded(payload: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        raise MalformedMessage("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage("undecodable", str(error)) from error
    except RecursionError as error:
        raise MalformedMessage("too_deep", "nested too deeply") from error


def decode_ack(payload: bytes) -> Ack:
    """Decode an acknowledgement.

    Raises:
        MalformedMessage: not an acknowledgement.
    """
    try:
        return msgspec.json.decode(payload, type=Ack)
    except msgspec.DecodeError as error:
        raise MalformedMessage("undecodable", str(error)) from error
