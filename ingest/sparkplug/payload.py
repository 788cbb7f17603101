"""From a payload's bytes to checked values, and the one payload that we send; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError, Message
from msgspec import Struct

from foremend import wire
from foremend.errors import MalformedMessage
from ingest.sparkplug.descriptor import PayloadMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.clock import Millis

MAX_METRICS: Final = 256
MAX_NAME: Final = 256
"""Characters in a metric's or a property's name."""
MAX_PROPERTIES: Final = 64
LATEST_MS: Final = 2**44
SEQUENCE: Final = 256
"""Sequence numbers run from 0 to 255 and then from 0 again."""
BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"


class DataType(IntEnum):
    """The data types whose values are numbers."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11


_SIGNED_BITS: Final[dict[int, int]] = {
    DataType.INT8: 8,
    DataType.INT16: 16,
    DataType.INT32: 32,
    DataType.INT64: 64,
}
NUMERIC: Final = frozenset(map(int, DataType))

Raw = int | float | bool | str | None


class Trust(IntEnum):
    """The property `Quality` of a metric; a metric without one is good."""

    BAD = 0
    GOOD = 192
    STALE = 500


class Metric(Struct, frozen=True, kw_only=True, gc=False):
    """One metric as it was told."""

    name: str | None = None
    alias: int | None = None
    ts_ms: Millis | None = None
    datatype: int = 0
    """0 where it was left out, as messages after a birth may."""
    historical: bool = False
    transient: bool = False
    raw: Raw = None
    """As encoded; None where it is null or of a type that is not read."""
    trust: Trust = Trust.GOOD
    properties: Mapping[str, Raw] = {}

    def number(self, datatype: int) -> float | None:
        """Read the value as `datatype`; None where there is none, or no finite number."""
        raw = self.raw
        if raw is None or isinstance(raw, str):
            return None
        number = _signed(raw, datatype) if datatype in _SIGNED_BITS else raw
        return float(number) if math.isfinite(number) else None


def _signed(number: float, datatype: int) -> float:
    """Read a signed integer: two's complement in an unsigned field, of its own width or wider."""
    bits = _SIGNED_BITS.get(datatype)
    if bits is None or not isinstance(number, int):
        return number
    low = number & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One message's content."""

    ts_ms: Millis | None = None
    """When it was sent, by the sender's clock; None for 0 too, which a missing clock tells."""
    seq: int | None = None
    metrics: tuple[Metric, ...] = ()

    @property
    def bd_seq(self) -> int | None:
        """The number that ties a death to its birth, where this tells it."""
        for metric in self.metrics:
            if metric.name == BD_SEQ:
                number = metric.raw
                return number if isinstance(number, int) and 0 <= number < LATEST_MS else None
        return None


def decode(data: bytes) -> Payload:
    """Decode and check a payload.

    Raises:
        MalformedMessage: too large, not a payload, or a number or a name out of bounds.
    """
    if len(data) > wire.MAX_PAYLOAD:
        raise MalformedMessage("too_large", f"{len(data)} bytes, at most {wire.MAX_PAYLOAD}")
    try:
        message = PayloadMessage.FromString(data)
        _check_counts(message)
        return Payload(
            ts_ms=_optional(message, "timestamp", LATEST_MS) or None,
            seq=_optional(message, "seq", SEQUENCE - 1),
            metrics=tuple(_metric(metric) for metric in message.metrics),
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage("undecodable", f"not a Sparkplug B payload: {error}") from error


def _check_counts(message: Message) -> None:
    if len(message.metrics) > MAX_METRICS:
        raise MalformedMessage(
            "too_many_metrics", f"{len(message.metrics)} metrics, at most {MAX_METRICS}"
        )


def _optional(message: Message, name: str, most: int) -> int | None:
    if not message.HasField(name):
        return None
    number: int = getattr(message, name)
    if number > most:
        raise MalformedMessage("out_of_bounds", f"{name} is {number}, at most {most}")
    return number


def _metric(message: Message) -> Metric:
    properties = _properties(message.properties) if message.HasField("properties") else {}
    return Metric(
        name=_name(message.name) if message.HasField("name") else None,
        alias=message.alias if message.HasField("alias") else None,
        ts_ms=_optional(message, "timestamp", LATEST_MS) or None,
        datatype=message.datatype,
        historical=message.is_historical,
        transient=message.is_transient,
        raw=_raw(message),
        trust=_trust(properties) if properties else Trust.GOOD,
        properties=properties,
    )


def _text(told: str | bytes) -> str:
    # The runtime hands out the bytes of a text that is not UTF-8.
    if isinstance(told, bytes):
        raise MalformedMessage("undecodable", "a text is not UTF-8")
    return told


def _name(told: str | bytes) -> str:
    name = _text(told)
    if not 0 < len(name) <= MAX_NAME or "\0" in name:
        raise MalformedMessage("bad_name", f"{name[:100]!r} cannot name a metric")
    return name


def _raw(message: Message) -> Raw:
    choice = message.WhichOneof("value")
    if choice is None or message.is_null:
        return None
    value = getattr(message, choice)
    return _text(value) if choice == "string_value" else value


def _properties(message: Message) -> dict[str, Raw]:
    if len(message.keys) > MAX_PROPERTIES or len(message.keys) != len(message.values):
        raise MalformedMessage(
            "bad_properties", f"{len(message.keys)} keys, {len(message.values)} values"
        )
    pairs = zip(message.keys, message.values, strict=True)
    return {_name(key): _property(value) for key, value in pairs}


def _property(message: Message) -> Raw:
    raw = _raw(message)
    return _signed(raw, message.type) if isinstance(raw, int | float) else raw


def _trust(properties: Mapping[str, Raw]) -> Trust:
    told = properties.get("Quality", properties.get("quality", Trust.GOOD))
    try:
        return Trust(told)  # type: ignore[arg-type]
    except ValueError:
        # A code that the specification does not know vouches for nothing.
        return Trust.BAD


def rebirth_command(now_ms: Millis) -> bytes:
    """Give the payload of a command that asks an edge node for all its births."""
    message = PayloadMessage(timestamp=now_ms)
    message.metrics.add(
        name=REBIRTH, timestamp=now_ms, datatype=DataType.BOOLEAN, boolean_value=True
    )
    encoded: bytes = message.SerializeToString()
    return encoded
