"""Frames in terms of what a library speaks of: its channels as they are, and derived features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.features.record import occurrence
from models.signatures.physics import FORMULAS, Inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.signatures.library import Feature, Library

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LONG_AGO_S = 1800.0
"""A frame before is of no use to a rate when it is older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames of several devices in each one's own order.

    ts_ms, phase, device [n] (device numbers from 0), values [n, c] over `channels`, NaN where
    missing; zones [n, 3] the limits of each device.
    """

    device: Ints
    ts_ms: Ints
    phase: Ints
    values: Floats
    zones: Floats


@dataclass(slots=True, eq=False)
class Before:
    """The frame before of every device; changed in place as frames are derived."""

    ts_ms: Ints
    phase: Ints
    values: Floats

    @classmethod
    def blank(cls, devices: int, channels: int) -> Before:
        """Nothing is known of any device."""
        return cls(
            np.zeros(devices, np.int64),
            np.full(devices, -1, np.int64),
            np.full((devices, channels), np.nan),
        )

    def grow(self, devices: int) -> None:
        """Make room for `devices` in all."""
        more = Before.blank(devices - len(self.ts_ms), self.values.shape[1])
        self.ts_ms = np.concatenate([self.ts_ms, more.ts_ms])
        self.phase = np.concatenate([self.phase, more.phase])
        self.values = np.concatenate([self.values, more.values])


def channels_of(library: Library) -> tuple[str, ...]:
    """Give every channel that a library may look at."""
    asked = [name for f in library.features for names in f.inputs.values() for name in names]
    direct = [s for s in library.subjects if library.feature(s) is None]
    return tuple(dict.fromkeys([*direct, *asked]))


def derive(library: Library, channels: Sequence[str], frames: Frames, before: Before) -> Floats:
    """Give each frame in terms of the library's subjects [n, s], and remember it in `before`."""
    told = np.full((len(frames.ts_ms), len(library.subjects)), np.nan)
    turn = occurrence(frames.device)
    for which in range(int(turn.max(initial=-1)) + 1):
        at = np.flatnonzero(turn == which)
        told[at] = _derived(library, list(channels), frames, before, at)
        device = frames.device[at]
        before.ts_ms[device], before.phase[device] = frames.ts_ms[at], frames.phase[at]
        before.values[device] = frames.values[at]
    return told


def _derived(
    library: Library, channels: list[str], frames: Frames, before: Before, at: Ints
) -> Floats:
    device, now = frames.device[at], frames.values[at]
    elapsed = (frames.ts_ms[at] - before.ts_ms[device]) / 1000.0
    goes_on = (before.phase[device] == frames.phase[at]) & (elapsed > 0.0) & (elapsed < LONG_AGO_S)
    last = np.where(goes_on[:, None], before.values[device], np.nan)
    elapsed = np.where(goes_on, elapsed, np.nan)
    columns = []
    for subject in library.subjects:
        feature = library.feature(subject)
        if feature is None:
            columns.append(now[:, channels.index(subject)])
            continue
        given = Inputs(
            now=_words(feature, channels, now),
            before=_words(feature, channels, last),
            elapsed_s=elapsed,
            zones=frames.zones[at],
            constants=feature.constants,
        )
        columns.append(FORMULAS[feature.formula].formula(given))
    return np.column_stack(columns)


def _words(feature: Feature, channels: list[str], values: Floats) -> dict[str, Floats]:
    """Give each word of a formula the first of its channels that says something."""
    form = FORMULAS[feature.formula]
    told = {}
    for word in (*form.words, *form.optional):
        column = np.full(len(values), np.nan)
        for name in reversed(feature.inputs.get(word, ())):
            one = values[:, channels.index(name)]
            column = np.where(np.isfinite(one), one, column)
        told[word] = column
    return told
