"""Arrays turned so that devices lie last, and sums over channels that no batch boundary changes.

State lies device by device, so that one of them is a few runs of bytes. A wave is worked on the
other way round, [..., channels, devices]: what is done to every channel, or masked by device, then
runs over whole rows of memory.
"""

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Held = TypeVar("Held", bound=np.generic)
Real = TypeVar("Real", bound=np.floating[Any])


def turned(rows: npt.NDArray[Held]) -> npt.NDArray[Held]:
    """[n, ...] as [..., n], copied."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), math.prod(rows.shape[1:])).T)
    return flat.reshape(*rows.shape[1:], len(rows))


def turned_back(columns: npt.NDArray[Held]) -> npt.NDArray[Held]:
    """[..., n] as [n, ...], copied."""
    size = columns.shape[-1]
    flat = np.ascontiguousarray(columns.reshape(math.prod(columns.shape[:-1]), size).T)
    return flat.reshape(size, *columns.shape[:-1])


def summed(columns: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Sum [c, n] over the first axis, one after another.

    NumPy's own sum takes another order for one column than for many, and the last bit follows it.
    """
    total: npt.NDArray[Real] = columns[0].copy()
    for row in columns[1:]:
        total += row
    return total
