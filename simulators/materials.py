"""What devices work on, be it filament, a liquid or the ground: whose taste, and which is next."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.steps import Floats, Ints

    Table = Mapping[str, Mapping[str, Any]]

T = TypeVar("T")


def read(kind: type[T], table: Table) -> T:
    """Read a family's materials as a dataclass of their `names` and of arrays [m]."""
    columns = [f.name for f in fields(kind) if f.name != "names"]  # type: ignore[arg-type]
    rows = table.values()
    arrays = {name: np.asarray([row[name] for row in rows], dtype=np.float64) for name in columns}
    return kind(**{"names": tuple(table), **arrays})


def draw(table: Table, rng: np.random.Generator, n: int, *, shape: float) -> Floats:
    """Draw each owner's taste in them as cumulative shares [m, n], gamma variates of that shape."""
    weights = np.asarray([row["weight"] for row in table.values()])
    taste = weights[:, None] * rng.gamma(shape, size=(weights.size, n))
    return np.asarray(np.cumsum(taste / taste.sum(axis=0), axis=0))


def pick(mix: Floats, u: Floats) -> Ints:
    """Choose a material for each device by cumulative shares [m, n] and uniform variates [n]."""
    return np.asarray(np.minimum((u > mix).sum(axis=0), len(mix) - 1))
