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
    lo: Sequence[float | None] | Floats
    mid: Sequence[float | None] | Floats
    hi: Sequence[float | None] | Floats
    """None or NaN where nothing was read."""


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
    table = _table(spaced, schemas, list(order))
    return spaced, [
        Series(channel=channel, lo=lo, mid=mid, hi=hi)
        for channel, (lo, mid, hi) in zip(order.values(), table, strict=True)
    ]


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


def _table(
    spaced: Sequence[Slot | None],
    schemas: dict[int, list[dict[str, Any]]],
    order: Sequence[tuple[str, str]],
) -> list[list[list[float | None]]]:
    """Give [channels][lo, mid, hi][slots], None where nothing was read."""
    table = np.full((len(order), 3, len(spaced)), np.nan)
    for schema_id, channels in schemas.items():
        at = [i for i, slot in enumerate(spaced) if slot and slot.schema_id == schema_id]
        rows = [order.index((c["name"], c["unit"])) for c in channels]
        for kind, name in enumerate(("lo", "mid", "hi")):
            told = [_padded(getattr(spaced[i], name), len(rows)) for i in at]
            values = np.array(told, dtype=np.float64).reshape(len(at), len(rows))
            table[np.ix_(rows, [kind], at)] = values.T[:, None, :]
    return _unknown_as_none(_short(table))


def _padded(values: Sequence[float | None] | Floats, width: int) -> Sequence[float | None] | Floats:
    """Give exactly `width` values; those that a frame has not are unknown."""
    short = width - len(values)
    return values[:width] if short <= 0 else [*values, *[None] * short]


def _unknown_as_none(values: Floats) -> list[Any]:
    told = values.astype(object)
    told[np.isnan(values)] = None
    found: list[Any] = told.tolist()
    return found


def _short(values: Floats) -> Floats:
    """Cut to six significant digits: more than any sensor has, and half the bytes."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        size = np.floor(np.log10(np.abs(values)))
        size = np.where(np.isfinite(size), np.clip(size, -300, 300), 0)
        # Powers of ten are exact up to the 22nd alone, so small and large ones go separate ways.
        up, down = 10.0 ** np.maximum(5 - size, 0), 10.0 ** np.maximum(size - 5, 0)
        cut: Floats = np.round(values / down * up) / up * down
    return cut
