"""Messages that were read before the clock could be trusted, and how they get their instants; pure.

They count from the machine's start, as its monotonic clock does. Once the clock is trusted, what
was read since that start is dated exactly. What an earlier run of the machine left behind is dated
as late as can be, its last reading at the start of the run that followed, and is marked suspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from foremend import wire
from foremend.errors import MalformedMessage
from foremend.values import Quality
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.clock import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineTime:
    """An instant that counts from a machine's start."""

    machine: str
    """Names that start; another one gets another name."""
    mono_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStart:
    """When a machine was started."""

    machine: str
    utc_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBoot:
    """A boot of the agent that began before the clock could be trusted, and has no date yet."""

    no: int
    boot: str
    birth: bytes
    begun: MachineTime
    last_ms: Millis
    """The instant of its last message, or else of its beginning, from the machine's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dating:
    """What to add to held instants, and whether that is known or the best guess."""

    offset_ms: Millis
    exact: bool


def datings(held: Sequence[HeldBoot], here: MachineStart) -> dict[int, Dating]:
    """Date each boot by its number; they come oldest first."""
    found: dict[int, Dating] = {}
    started_ms = here.utc_ms
    for machine, group in groupby(reversed(held), key=lambda boot: boot.begun.machine):
        boots = list(group)
        exact = machine == here.machine
        if not exact:
            started_ms -= max(boot.last_ms for boot in boots)
        found |= {boot.no: Dating(offset_ms=started_ms, exact=exact) for boot in boots}
    return found


def date(kind: Up, payload: bytes, dating: Dating) -> bytes:
    """Give a held message's final bytes; what cannot be read is left as it is, to be refused."""
    try:
        message = wire.decode_up(kind, payload)
    except MalformedMessage:
        return payload
    return wire.encode(_dated(message, dating), packed=_is_packed(payload))


def introduce(held: HeldBoot, dating: Dating) -> bytes:
    """Give the final bytes of a held boot's birth; a guessed one stays marked as held."""
    try:
        birth = wire.decode_up(Up.BIRTH, held.birth)
    except MalformedMessage:
        return held.birth
    birth = msgspec.structs.replace(
        birth,
        boot_ms=held.begun.mono_ms + dating.offset_ms,
        clock="trusted" if dating.exact else "held",
    )
    return wire.encode(birth, packed=_is_packed(held.birth))


def _dated(message: wire.UpMessage, dating: Dating) -> wire.UpMessage:
    if isinstance(message, wire.Data):
        frames = message.frames
        quality = frames.quality if dating.exact else [_doubted(q) for q in frames.quality]
        dated = msgspec.structs.replace(
            frames, t0_ms=frames.t0_ms + dating.offset_ms, quality=quality
        )
        return msgspec.structs.replace(message, frames=dated)
    if isinstance(message, wire.Event | wire.Result):
        marked = message.details if dating.exact else message.details | {"clock": "estimated"}
        ts_ms = message.ts_ms + dating.offset_ms
        return msgspec.structs.replace(message, ts_ms=ts_ms, details=marked)
    return message


def _doubted(quality: int) -> int:
    return Quality.SUSPECT if quality == Quality.GOOD else quality


def _is_packed(payload: bytes) -> bool:
    return payload[:1] != b"{"
