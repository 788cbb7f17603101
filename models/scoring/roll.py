"""A roll: where each device is kept, looked up for all rows of a batch at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def _none() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(slots=True)
class Roll:
    """Small whole numbers by device id.

    >>> roll = Roll()
    >>> roll.put(40, 1), roll.put(7, 0)
    (None, None)
    >>> roll.at(np.array([7, 40, 7])).tolist()
    [0, 1, 0]
    """

    _kept: dict[int, int] = field(default_factory=dict)
    _ids: Ints = field(default_factory=_none)
    """Sorted, and `_found` beside them; made anew at the first look after a change."""
    _found: Ints = field(default_factory=_none)
    _stale: bool = False

    def put(self, device: int, number: int) -> None:
        """Keep a device's number from here on."""
        if self._kept.get(device) != number:
            self._kept[device] = number
            self._stale = True

    def at(self, devices: Ints) -> Ints:
        """Give the numbers [n] of devices [n]. Raises KeyError for one that was never put."""
        if self._stale:
            self._ids = np.array(sorted(self._kept), np.int64)
            self._found = np.array([self._kept[i] for i in self._ids.tolist()], np.int64)
            self._stale = False
        if not len(devices):
            return _none()
        if not len(self._ids):
            raise KeyError(int(devices[0]))
        place = np.minimum(np.searchsorted(self._ids, devices), len(self._ids) - 1)
        strange = self._ids[place] != devices
        if strange.any():
            raise KeyError(int(devices[strange][0]))
        return self._found[place]
