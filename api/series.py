"""Turn a device's frames, cut into time slots by the database, into one series a channel; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOLE: Final = 3.0
"""Slots further apart than this many usual distances are not joined by a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """All frames of one device, schema and time slot; the arrays go by the schema's channels."""

    schema_id: int
    t_ms: int
    """The middle of the slot's frames."""
    frames: int
    phase: int
    """The most frequent one."""
    lo: Sequence[float | None]
    mid: Sequence[float | None]
    hi: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One channel: smallest, mean and largest value per slot; None where nothing was read."""

    channel: dict[str, Any]
    lo: list[float | None]
    mid: list[float | None]
    hi: list[float | None]


def aligned(
    slots: Sequence[Slot], schemas: dict[int, list[dict[str, Any]]]
) -> tuple[list[Slot | None], list[Series]]:
    """Give the slots with a None at each hole, and one series a channel over these.

    A device's schema may change within the window: channels of one name and unit go on as one.
    """
    order: dict[tuple[str, str], dict[str, Any]] = {}
    for schema_id in dict.fromkeys(slot.schema_id for slot in slots):
        for channel in schemas[schema_id]:
            order[channel["name"], channel["unit"]] = channel
    spaced = with_holes(slots)
    places = {
        schema_id: {(c["name"], c["unit"]): i for i, c in enumerate(channels)}
        for schema_id, channels in schemas.items()
    }
    return spaced, [_series(key, channel, spaced, places) for key, channel in order.items()]


def with_holes(slots: Sequence[Slot]) -> list[Slot | None]:
    """Put a None between slots that are too far apart to be joined."""
    if len(slots) <= 2:  # noqa: PLR2004 - one distance says nothing of what is usual
        return list(slots)
    steps = np.diff(np.array([slot.t_ms for slot in slots], dtype=np.float64))
    limit = HOLE * float(np.median(steps))
    spaced: list[Slot | None] = [slots[0]]
    for step, slot in zip(steps, slots[1:], strict=True):
        if step > limit:
            spaced.append(None)
        spaced.append(slot)
    return spaced


def times_of(spaced: Sequence[Slot | None]) -> list[int]:
    """Give the slots' times in milliseconds; a hole stands just after the slot before it."""
    times: list[int] = []
    for slot in spaced:
        times.append(slot.t_ms if slot else times[-1] + 1)
    return times


def _series(
    key: tuple[str, str],
    channel: dict[str, Any],
    spaced: Sequence[Slot | None],
    places: dict[int, dict[tuple[str, str], int]],
) -> Series:
    columns: tuple[list[float | None], ...] = ([], [], [])
    for slot in spaced:
        place = places[slot.schema_id].get(key) if slot else None
        for column, values in zip(
            columns, (slot.lo, slot.mid, slot.hi) if slot else ((), (), ()), strict=True
        ):
            known = place is not None and place < len(values)
            column.append(_short(values[place]) if known and place is not None else None)
    lo, mid, hi = columns
    return Series(channel=channel, lo=lo, mid=mid, hi=hi)


def _short(value: float | None) -> float | None:
    """Cut to six significant digits: more than any sensor has, and half the bytes."""
    return None if value is None else float(f"{value:.6g}")
