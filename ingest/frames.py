"""Frames as PostgreSQL's binary COPY format, built for a whole batch at once.

One row is the field count and then each field as a length and its bytes, all big-endian; an array
is its dimensions, whether it holds nulls, its element type, and its elements as fields
(PostgreSQL documentation, COPY, "Binary Format").
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from foremend import wire

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER: Final = b"\xff\xff"
_PG_EPOCH_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z, from which PostgreSQL counts microseconds."""
_FLOAT8_OID: Final = 701
_ARRAY_HEAD: Final = 20
_FIELDS: Final = 9


class StoredMessage(Struct, frozen=True, kw_only=True, gc=False):
    """One data message with the ids under which its frames are stored."""

    device_id: int
    boot_id: int
    schema_id: int
    data: wire.Data


def encode(messages: Iterable[StoredMessage], batch_id: int) -> bytes:
    """Give the COPY stream of all frames of `messages`."""
    groups: dict[tuple[int, int], list[StoredMessage]] = defaultdict(list)
    for message in messages:
        frames = message.data.frames
        groups[len(frames.values), len(frames.offset_ms)].append(message)
    bodies = (_rows(group, width, count, batch_id) for (width, count), group in groups.items())
    return b"".join((HEADER, *bodies, TRAILER))


def _row_type(width: int) -> np.dtype[Any]:
    field = [
        ("device_id", ">i4"),
        ("ts", ">i8"),
        ("boot_id", ">i4"),
        ("seq", ">i8"),
        ("schema_id", ">i4"),
        ("phase", ">i2"),
        ("quality", ">i2"),
        ("batch_id", ">i8"),
    ]
    plain = chain.from_iterable(((f"{name}_size", ">i4"), (name, kind)) for name, kind in field)
    array = [("vals_size", ">i4"), ("dims", ">i4"), ("nulls", ">i4"), ("oid", ">i4")]
    shape = [("length", ">i4"), ("lower", ">i4")]
    element = np.dtype([("size", ">i4"), ("value", ">f8")])
    return np.dtype([("fields", ">i2"), *plain, *array, *shape, ("vals", element, (width,))])


def _rows(group: list[StoredMessage], width: int, count: int, batch_id: int) -> bytes:
    kind = _row_type(width)
    values = _values(group, width, count)
    rows = np.zeros(len(values), dtype=kind)
    rows["fields"] = _FIELDS
    rows["ts"] = _micros(group, count)
    rows["phase"] = _flat(m.data.frames.phase for m in group)
    rows["quality"] = _flat(m.data.frames.quality for m in group)
    rows["device_id"] = np.repeat([m.device_id for m in group], count)
    rows["boot_id"] = np.repeat([m.boot_id for m in group], count)
    rows["schema_id"] = np.repeat([m.schema_id for m in group], count)
    rows["seq"] = np.repeat([m.data.seq for m in group], count)
    rows["batch_id"] = batch_id
    for name in ("device_id", "ts", "boot_id", "seq", "schema_id", "phase", "quality", "batch_id"):
        rows[f"{name}_size"] = kind[name].itemsize
    return _with_vals(rows, values)


def _with_vals(rows: npt.NDArray[Any], values: npt.NDArray[np.float64]) -> bytes:
    missing = np.isnan(values)
    width = values.shape[1]
    rows["dims"], rows["oid"], rows["lower"] = 1, _FLOAT8_OID, 1
    rows["length"] = width
    rows["nulls"] = missing.any(axis=1)
    rows["vals_size"] = _ARRAY_HEAD + 12 * width - 8 * missing.sum(axis=1)
    rows["vals"]["size"] = np.where(missing, -1, 8)
    rows["vals"]["value"] = values
    if not missing.any():
        return bytes(rows.tobytes())
    return _without_missing(rows, missing)


def _without_missing(rows: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> bytes:
    """Cut out the eight value bytes of each null: a null has a size of -1 and no bytes."""
    flat = rows.view(np.uint8).reshape(len(rows), -1)
    kept = np.ones((*missing.shape, 12), dtype=bool)
    kept[:, :, 4:] = ~missing[:, :, None]
    head = np.ones((len(rows), flat.shape[1] - 12 * missing.shape[1]), dtype=bool)
    keep = np.concatenate((head, kept.reshape(len(rows), -1)), axis=1)
    return bytes(flat[keep].tobytes())


def _values(group: list[StoredMessage], width: int, count: int) -> npt.NDArray[np.float64]:
    columns = chain.from_iterable(m.data.frames.values for m in group)
    flat = np.array(list(chain.from_iterable(columns)), dtype=np.float64)
    by_channel = flat.reshape(len(group), width, count)
    return by_channel.transpose(0, 2, 1).reshape(len(group) * count, width)


def _micros(group: list[StoredMessage], count: int) -> npt.NDArray[np.int64]:
    start = np.repeat([m.data.frames.t0_ms - _PG_EPOCH_MS for m in group], count)
    return (start + _flat(m.data.frames.offset_ms for m in group)) * 1000


def _flat(columns: Iterable[list[int]]) -> npt.NDArray[np.int64]:
    return np.array(list(chain.from_iterable(columns)), dtype=np.int64)
