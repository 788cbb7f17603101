"""Frames in terms of what a library speaks of: its channels as they are, and derived features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.features.record import occurrence
from models.signatures.physics import FORMULAS, Inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.signatures.library import Feature, Library
    from models.signatures.physics import Formula

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one subject is made: a channel as it is, or a formula of the columns of its words."""

    column: int
    formula: Formula | None
    words: tuple[tuple[str, tuple[int, ...]], ...]
    constants: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a library's subjects are made of its channels, laid out once."""

    channels: tuple[str, ...]
    steps: tuple[Step, ...]

    @staticmethod
    def of(library: Library) -> Derivation:
        """Lay a library out."""
        channels = channels_of(library)
        steps = [_step(library.feature(s), s, channels) for s in library.subjects]
        return Derivation(channels=channels, steps=tuple(steps))

    def derive(self, frames: Frames, before: Before) -> Floats:
        """Give each frame in terms of the subjects [n, s], and remember it in `before`."""
        told = np.full((len(frames.ts_ms), len(self.steps)), np.nan)
        turn = occurrence(frames.device)
        for which in range(int(turn.max(initial=-1)) + 1):
            at = np.flatnonzero(turn == which)
            told[at] = self._turn(frames, before, at)
            device = frames.device[at]
            before.ts_ms[device], before.phase[device] = frames.ts_ms[at], frames.phase[at]
            before.values[device] = frames.values[at]
        return told

    def _turn(self, frames: Frames, before: Before, at: Ints) -> Floats:
        device, now = frames.device[at], frames.values[at]
        elapsed = (frames.ts_ms[at] - before.ts_ms[device]) / 1000.0
        goes_on = (before.phase[device] == frames.phase[at]) & (elapsed > 0.0)
        goes_on &= elapsed < LONG_AGO_S
        last = np.where(goes_on[:, None], before.values[device], np.nan)
        elapsed = np.where(goes_on, elapsed, np.nan)
        return np.column_stack(
            [self._subject(step, now, last, elapsed, frames.zones[at]) for step in self.steps]
        )

    def _subject(
        self, step: Step, now: Floats, last: Floats, elapsed_s: Floats, zones: Floats
    ) -> Floats:
        if step.formula is None:
            return now[:, step.column]
        return step.formula(
            Inputs(
                now={word: _first(now, columns) for word, columns in step.words},
                before={word: _first(last, columns) for word, columns in step.words},
                elapsed_s=elapsed_s,
                zones=zones,
                constants=step.constants,
            )
        )


def _step(feature: Feature | None, subject: str, channels: tuple[str, ...]) -> Step:
    if feature is None:
        return Step(column=channels.index(subject), formula=None, words=(), constants={})
    form = FORMULAS[feature.formula]
    words = tuple(
        (word, tuple(channels.index(name) for name in feature.inputs.get(word, ())))
        for word in (*form.words, *form.optional)
    )
    return Step(column=-1, formula=form.formula, words=words, constants=feature.constants)


def _first(values: Floats, columns: tuple[int, ...]) -> Floats:
    """Give the first of some columns that says something."""
    if len(columns) == 1:
        return values[:, columns[0]]
    told = np.full(len(values), np.nan)
    for column in reversed(columns):
        told = np.where(np.isfinite(values[:, column]), values[:, column], told)
    return told
