"""From frames and happenings to drafts of messages; pure."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from edge_agent.messages import Draft, Rank
from foremend import wire
from foremend.wire import MAX_FRAMES, MAX_PAYLOAD, Up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.source import Frame, Happening

_FLOAT_BYTES: Final = 25
"""The longest float in JSON and its comma; MessagePack needs less."""
_FRAME_BYTES: Final = 31
"""Offset, phase and quality of one frame, each with its comma."""
_ENVELOPE_BYTES: Final = 1024
"""All of a message but its frames."""


def frames_that_fit(channels: int, wanted: int) -> int:
    """Give how many frames go into one message, at most `wanted`, whatever their values are."""
    room = MAX_PAYLOAD - _ENVELOPE_BYTES - 3 * channels
    return max(1, min(wanted, MAX_FRAMES, room // (_FLOAT_BYTES * channels + _FRAME_BYTES)))


class Framer:
    """Collects frames until a message is full; what it holds is not on the disk yet.

    >>> framer = Framer(schema="s", channels=1, frames_per_message=2)
    >>> [len(framer.add(frame)) for frame in three_frames]
    [0, 1, 0]
    """

    def __init__(
        self, *, schema: str, channels: int, frames_per_message: int = 60, packed: bool = False
    ) -> None:
        self._schema = schema
        self._packed = packed
        self._most = frames_that_fit(channels, frames_per_message)
        self._held: list[Frame] = []
        self.undated = False
        """Whether instants count from the machine's start; to be changed only while it is empty."""

    def __len__(self) -> int:
        return len(self._held)

    def add(self, frame: Frame) -> list[Draft]:
        """Take a frame in; give the messages that this completes."""
        # Offsets strictly increase within a message, so a clock that steps back ends one.
        ended = self.seal() if self._held and frame.ts_ms <= self._held[-1].ts_ms else []
        self._held.append(frame)
        return ended + self.seal() if len(self._held) >= self._most else ended

    def seal(self) -> list[Draft]:
        """Give what is held as a message, if anything is."""
        held, self._held = self._held, []
        if not held:
            return []
        return [data_draft(held, self._schema, packed=self._packed, undated=self.undated)]


def data_draft(
    frames: Sequence[Frame], schema: str, *, packed: bool = False, undated: bool = False
) -> Draft:
    """Make one message of frames whose instants strictly increase."""
    encode = partial(_encode_data, columns(frames), schema, packed)
    return Draft(
        kind=Up.DATA,
        rank=Rank.FRAMES,
        encode=encode,
        frames=len(frames),
        first_ms=frames[0].ts_ms,
        last_ms=frames[-1].ts_ms,
        held=undated,
    )


def event_draft(happening: Happening, *, packed: bool = False, undated: bool = False) -> Draft:
    """Make the message of a happening."""
    return Draft(
        kind=Up.EVENT,
        rank=Rank.EVENT,
        encode=partial(_encode_event, happening, packed),
        first_ms=happening.ts_ms,
        last_ms=happening.ts_ms,
        held=undated,
    )


def columns(frames: Sequence[Frame]) -> wire.Frames:
    """Turn frames into columns; what is not a finite number becomes None."""
    t0_ms = frames[0].ts_ms
    return wire.Frames(
        t0_ms=t0_ms,
        offset_ms=[frame.ts_ms - t0_ms for frame in frames],
        phase=[frame.phase for frame in frames],
        quality=[frame.quality for frame in frames],
        values=[_finite(column) for column in zip(*(f.values for f in frames), strict=True)],
    )


def _finite(column: Sequence[float | None]) -> list[float | None]:
    # The sum of finite numbers is finite save for overflow, and is one call in C.
    if math.isfinite(sum(filter(None, column))):
        return list(column)
    return [value if value is not None and math.isfinite(value) else None for value in column]


def _encode_data(frames: wire.Frames, schema: str, packed: bool, boot: str, seq: int) -> bytes:
    return wire.encode(wire.Data(boot=boot, seq=seq, schema=schema, frames=frames), packed=packed)


def _encode_event(happening: Happening, packed: bool, boot: str, seq: int) -> bytes:
    event = wire.Event(
        boot=boot,
        seq=seq,
        ts_ms=happening.ts_ms,
        code=happening.code,
        severity=happening.severity,
        component=happening.component,
        details=dict(happening.details),
    )
    return wire.encode(event, packed=packed)
