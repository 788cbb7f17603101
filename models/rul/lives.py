"""Lives of devices: one row a cycle, from first use to failure, or until now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """Rows in order of device and cycle: device[m] indexes `devices`, values[m, c] (NaN: missing).

    `channels` name the columns; they are in order of name, so that no model depends on theirs.
    `cycle`[m] is how much each device had been used by then: cycles, or any other unit of use.
    """

    devices: tuple[str, ...]
    channels: tuple[str, ...]
    device: NDArray[np.int64]
    cycle: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.device)

    def where(self, kept: NDArray[np.bool_]) -> Lives:
        """Return the rows that are kept[m]; devices keep their index."""
        return replace(
            self, device=self.device[kept], cycle=self.cycle[kept], values=self.values[kept]
        )

    @property
    def spans(self) -> list[slice]:
        """Where each device's rows stand."""
        edges = np.searchsorted(self.device, np.arange(len(self.devices) + 1))
        return [slice(a, b) for a, b in pairwise(edges.tolist())]

    @property
    def last(self) -> NDArray[np.int64]:
        """The last row of each device."""
        return np.array([span.stop - 1 for span in self.spans], dtype=np.int64)

    def remaining(self) -> Floats:
        """Return cycles left at each row if every device failed after its last; [m]."""
        return self.cycle[self.last][self.device] - self.cycle

    def usual_cap(self) -> float:
        """Return three fifths of the median life: wear seldom shows earlier.

        On C-MAPSS FD001 that is 119, where 125 is the custom.
        """
        return 0.6 * float(np.median(self.cycle[self.last]))

    def seen_as(self, channels: tuple[str, ...]) -> Floats:
        """Return the values under other channels: what is missing is NaN, what is new is left."""
        out = np.full((len(self), len(channels)), np.nan)
        for j, name in enumerate(channels):
            if name in self.channels:
                out[:, j] = self.values[:, self.channels.index(name)]
        return out
