"""A fleet's whole state as JSON bytes, and back: arrays, generators and plain values, no code."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from foremend.errors import ForemendError, Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT: Final = 2
T = TypeVar("T")


class SnapshotRefused(ForemendError):
    """This is not a snapshot of a simulated fleet that this version understands."""

    remedy = Remedy.REJECT


def encode(content: dict[str, Any]) -> bytes:
    """Write a snapshot."""
    return json.dumps({"format": FORMAT, **content}, separators=(",", ":")).encode()


def decode(data: bytes, *, family: str) -> dict[str, Any]:
    """Read a snapshot of a fleet of `family`.

    Raises:
        SnapshotRefused: it is no JSON object, or of another format or family.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise SnapshotRefused from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SnapshotRefused
    if content.get("family") != family:
        raise SnapshotRefused(f"this is a snapshot of {content.get('family')}, not of {family}")
    return content


def pack(state: object) -> dict[str, Any]:
    """Write a dataclass of arrays; fields that are such dataclasses themselves are nested."""
    packed: dict[str, Any] = {}
    for field in fields(state):  # type: ignore[arg-type]
        value = getattr(state, field.name)
        packed[field.name] = pack(value) if is_dataclass(value) else _pack_array(value)
    return packed


def unpack(like: T, packed: dict[str, Any]) -> T:
    """Read a dataclass of arrays, of the same type and shapes as `like`.

    Raises:
        SnapshotRefused: an array is missing or of another shape: another version wrote it.
    """
    values: dict[str, Any] = {}
    for field in fields(like):  # type: ignore[arg-type]
        sample, stored = getattr(like, field.name), packed.get(field.name)
        if stored is None:
            raise SnapshotRefused
        nested = is_dataclass(sample)
        values[field.name] = unpack(sample, stored) if nested else _array(stored, sample.shape)
    return type(like)(**values)


def _pack_array(array: NDArray[Any]) -> dict[str, Any]:
    raw = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": array.shape, "raw": raw}


def _array(stored: dict[str, Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if tuple(stored["shape"]) != shape:
        raise SnapshotRefused
    raw = base64.b64decode(stored["raw"])
    return np.frombuffer(raw, dtype=stored["dtype"]).reshape(stored["shape"]).copy()


def pack_generator(rng: np.random.Generator) -> dict[str, Any]:
    """Write where a PCG64 generator stands; its 128-bit words are whole numbers in JSON."""
    return dict(rng.bit_generator.state)


def generator(stored: Mapping[str, Any]) -> np.random.Generator:
    """Set a generator going from where it stood."""
    bits = np.random.PCG64()
    bits.state = stored  # type: ignore[assignment]
    return np.random.Generator(bits)
