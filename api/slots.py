"""Sum rows of any level up into the slots of a chart; pure.

In NumPy, which takes a fraction of the time that SQL takes for the same (docs/adr/0013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from api.series import Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from api.levels import Plan

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_HEAD: Final = 20
"""Bytes before the elements of an array of one dimension as PostgreSQL sends it (array_send):
dimensions, flags, element type, length, lower bound. Each element is its size and its bytes."""
_FLOATS: Final = np.dtype([("size", ">i4"), ("value", ">f8")])
_INTS: Final = np.dtype([("size", ">i4"), ("value", ">i4")])
_SCALE: Final = 2.0**-24
"""Exact, and no sum of what a sensor can say overflows after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Frames, minutes or hours of one schema."""

    schema_id: int
    since_ms: Ints
    """[n]"""
    until_ms: Ints
    """[n]; that of a frame is its own instant."""
    frames: Ints
    """[n]"""
    phase: Ints
    """[n]; the most frequent one of a row."""
    n: Floats
    """[n, channels] known values."""
    lo: Floats
    mean: Floats
    hi: Floats
    """[n, channels]; NaN where nothing is known."""


def of_frames(found: Iterable[Mapping[str, Any]]) -> list[Rows]:
    """Take frames as the database gives them: schema_id, t_ms, phase, vals as bytes."""
    return [_frames(schema_id, rows) for schema_id, rows in _by_schema(found).items()]


def of_rollups(found: Iterable[Mapping[str, Any]]) -> list[Rows]:
    """Take minutes or hours: schema_id, since_ms, width_ms, frames, phase; n, lo, mean, hi."""
    return [_rollups(schema_id, rows) for schema_id, rows in _by_schema(found).items()]


def combined(parts: Sequence[Rows], plan: Plan) -> list[Slot]:
    """Give the slots of a plan that hold anything, oldest first."""
    by_schema: dict[int, list[Rows]] = {}
    for part in parts:
        by_schema.setdefault(part.schema_id, []).append(part)
    slots = [slot for same in by_schema.values() for slot in _summed(_joined(same), plan)]
    return sorted(slots, key=lambda slot: slot.t_ms)


def _by_schema(found: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in found:
        groups.setdefault(row["schema_id"], []).append(row)
    return groups


def _frames(schema_id: int, rows: Sequence[Mapping[str, Any]]) -> Rows:
    times, values = _ints(rows, "t_ms"), _matrix(rows, "vals", _FLOATS)
    return Rows(
        schema_id=schema_id,
        since_ms=times,
        until_ms=times,
        frames=np.ones(len(rows), dtype=np.int64),
        phase=_ints(rows, "phase"),
        n=(~np.isnan(values)).astype(np.float64),
        lo=values,
        mean=values,
        hi=values,
    )


def _rollups(schema_id: int, rows: Sequence[Mapping[str, Any]]) -> Rows:
    since = _ints(rows, "since_ms")
    return Rows(
        schema_id=schema_id,
        since_ms=since,
        until_ms=since + _ints(rows, "width_ms"),
        frames=_ints(rows, "frames"),
        phase=_ints(rows, "phase"),
        n=np.nan_to_num(_matrix(rows, "n", _INTS)),
        lo=_matrix(rows, "lo", _FLOATS),
        mean=_matrix(rows, "mean", _FLOATS),
        hi=_matrix(rows, "hi", _FLOATS),
    )


def _ints(rows: Sequence[Mapping[str, Any]], name: str) -> Ints:
    return np.array([row[name] for row in rows], dtype=np.int64)


def _matrix(rows: Sequence[Mapping[str, Any]], name: str, kind: np.dtype[Any]) -> Floats:
    """Give [rows, channels]; NaN where a row is narrower than the widest."""
    sent = [row[name] for row in rows]
    sizes = np.array([len(one) for one in sent])
    values = np.full((len(sent), max(int(sizes.max()) - _HEAD, 0) // kind.itemsize), np.nan)
    for size in np.unique(sizes):
        # An empty array has no dimension, and is shorter than the head.
        width = max(int(size) - _HEAD, 0) // kind.itemsize
        at = np.flatnonzero(sizes == size)
        if width:
            joined = np.frombuffer(b"".join(sent[i] for i in at), dtype=np.uint8)
            body = np.ascontiguousarray(joined.reshape(len(at), size)[:, _HEAD:])
            values[at, :width] = body.view(kind)["value"]
    return values


def _joined(parts: Sequence[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    names = ("since_ms", "until_ms", "frames", "phase", "n", "lo", "mean", "hi")
    return Rows(
        schema_id=parts[0].schema_id,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
    )


def _summed(rows: Rows, plan: Plan) -> list[Slot]:
    """Sum up by slot; rows of one schema come in the order of their times."""
    slot = (rows.since_ms - plan.start) // plan.slot_ms
    order = np.argsort(slot, kind="stable")
    slot = slot[order]
    first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    since = np.minimum.reduceat(rows.since_ms[order], first)
    until = np.maximum.reduceat(rows.until_ms[order], first)
    frames = np.add.reduceat(rows.frames[order], first)
    phase = _usual(rows.phase[order], rows.frames[order], slot - slot[0], slot[first] - slot[0])
    lo = np.fmin.reduceat(rows.lo[order], first, axis=0)
    hi = np.fmax.reduceat(rows.hi[order], first, axis=0)
    mid = _mean(rows.n[order], rows.mean[order], first, lo, hi)
    middle = since + (until - since) // 2
    return [
        Slot(
            schema_id=rows.schema_id,
            t_ms=int(middle[i]),
            frames=int(frames[i]),
            phase=int(phase[i]),
            lo=lo[i],
            mid=mid[i],
            hi=hi[i],
        )
        for i in range(len(first))
    ]


def _mean(n: Floats, mean: Floats, first: NDArray[np.intp], lo: Floats, hi: Floats) -> Floats:
    known = np.add.reduceat(n, first, axis=0)
    total = np.add.reduceat(np.where(n > 0, mean * _SCALE * n, 0.0), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.clip(total / known, lo * _SCALE, hi * _SCALE) / _SCALE
    return found


def _usual(phase: Ints, frames: Ints, slot: Ints, wanted: Ints) -> Ints:
    """Give the phase that most frames of each wanted slot are in; of equals the smallest."""
    names, numbers = np.unique(phase, return_inverse=True)
    counts = np.zeros((int(slot[-1]) + 1, len(names)))
    np.add.at(counts, (slot, numbers), frames)
    usual: Ints = names[counts[wanted].argmax(axis=1)]
    return usual
