"""Where one frame stands after the last one of its device: next to it, or after a break."""

from dataclasses import dataclass

import numpy as np

from models.anomaly.spec import Bools, Floats, Ints
from models.anomaly.state import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Of n frames."""

    broken: Bools
    """[n] the first frame, or after a gap, or not later than the last: what lay between is
    unknown, so nothing that spans two frames is compared."""
    cadence_s: Floats
    """[n] the usual interval after this frame; 0 while not known."""


def timed(ts_ms: Ints, last_ms: Ints, cadence_s: Floats, seen: Ints, gap_factor: float) -> Timing:
    """Compare the frames' times with their devices' last ones.

    The usual interval follows each interval by at most its own length times the learning rate,
    so that a gap moves it no more than a usual interval does.
    """
    first = last_ms == NEVER
    interval = np.where(first, 0, ts_ms - last_ms) / 1000.0
    usual = cadence_s > 0
    gap = usual & (interval > gap_factor * cadence_s)
    backwards = interval <= 0
    rate = 1.0 / np.clip(seen, 2, 20)
    change = np.clip(interval - cadence_s, -cadence_s, cadence_s)
    followed = np.where(usual, cadence_s + rate * change, interval)
    return Timing(
        broken=first | backwards | gap,
        cadence_s=np.where(first | backwards, cadence_s, followed),
    )
