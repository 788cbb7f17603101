"""What a measured series says; pure.

Figures are to be held against the same printer's earlier ones: only what is beyond doubt is judged.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.selftest.bench import Reading, Spectrum

Series = list[tuple[float, "Reading"]]
"""Seconds since the step was commanded, and what was read then."""

RISES_K: Final = 2.0
RISES_WITHIN_S: Final = 20.0
"""A heater that gains less in this time does not heat: Klipper's verify_heater (heating_gain,
check_gain_time; Config_Reference.md), Marlin's WATCH_TEMP."""
TURNS_RPM: Final = 200.0
"""A small fan that turns slower than this stands still: its tachometer's noise."""
PROMINENCE: Final = 3.0
"""A peak this many times above the median is a resonance."""
_FEW: Final = 3
_LOW, _HIGH = 0.2, 0.8
"""The part of a rise in which its slope is told: after the delay, before control cuts in."""


class Verdict(Enum):
    """What is beyond doubt."""

    MEASURED = "measured"
    NO_RESPONSE = "no_response"
    SLOW = "slow"
    """It heats, and did not come far in the time that it had."""
    NO_READING = "no_reading"
    NO_TACHOMETER = "no_tachometer"
    UNCLEAR = "unclear"
    """There is no peak that stands out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heating:
    """How a heater answered; `gain_k_s` is the slope within a rise, at `power` on the mean."""

    verdict: Verdict
    rise_k: float | None = None
    gain_k_s: float | None = None
    power: float | None = None
    lag_s: float | None = None
    """Until it was warmer by two kelvin."""


def judge_heating(series: Series, *, start_c: float, target_c: float) -> Heating:
    """Judge a step of a heater's target.

    A report that was read twice counts once, at the instant at which the hot end was so.
    """
    told = [
        (t - r.hotend_age_s, r.hotend_c, r.hotend_power)
        for t, r in series
        if r.hotend_c is not None
    ]
    read = [(t, c, p) for t, c, p in {round(row[0], 3): row for row in told}.values() if t >= 0]
    if len(read) < _FEW:
        return Heating(verdict=Verdict.NO_READING)
    top_c, span = max(c for _, c, _ in read), target_c - start_c
    lag_s = next((t for t, c, _ in read if c >= start_c + RISES_K), None)
    if lag_s is None or lag_s > RISES_WITHIN_S:
        return Heating(verdict=Verdict.NO_RESPONSE, rise_k=top_c - start_c, lag_s=lag_s)
    came = next((at for at, (_, c, _) in enumerate(read) if c >= start_c + _HIGH * span), None)
    rising = [row for row in read[:came] if row[1] >= start_c + _LOW * span] if came else read
    powers = [p for _, _, p in rising if p is not None]
    return Heating(
        verdict=Verdict.SLOW if came is None else Verdict.MEASURED,
        rise_k=top_c - start_c,
        gain_k_s=slope([(t, c) for t, c, _ in rising]),
        power=statistics.fmean(powers) if powers else None,
        lag_s=lag_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spinning:
    """How a fan answered."""

    verdict: Verdict
    rpm: float | None = None
    """At the end."""
    spin_up_s: float | None = None
    """Until it had nine tenths of it."""


def judge_fan(series: Sequence[tuple[float, float | None]]) -> Spinning:
    """Judge a step of a fan, by its tachometer."""
    read = [(t, rpm) for t, rpm in series if rpm is not None]
    if not read:
        return Spinning(verdict=Verdict.NO_TACHOMETER)
    rpm = statistics.median(r for _, r in read[-max(len(read) // 3, 1) :])
    if rpm < TURNS_RPM:
        return Spinning(verdict=Verdict.NO_RESPONSE, rpm=rpm)
    up_s = next(t for t, r in read if r >= 0.9 * rpm)
    return Spinning(verdict=Verdict.MEASURED, rpm=rpm, spin_up_s=up_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resonance:
    """Where an axis rings."""

    verdict: Verdict
    peak_hz: float | None = None
    width_hz: float | None = None
    """Of the peak, at half its power."""
    damping: float | None = None
    """Ratio of the damping, by the width of the peak: width / (2 x frequency), as any book on
    vibration has it (half-power bandwidth)."""


def judge_resonance(spectrum: Spectrum) -> Resonance:
    """Judge a spectrum by its highest peak."""
    if len(spectrum) < _FEW:
        return Resonance(verdict=Verdict.NO_READING)
    rows = sorted(spectrum)
    at = max(range(len(rows)), key=lambda i: rows[i][1])
    peak_hz, power = rows[at]
    if power <= PROMINENCE * statistics.median(p for _, p in rows):
        return Resonance(verdict=Verdict.UNCLEAR, peak_hz=peak_hz)
    half = power / 2
    above = [hz for hz, p in rows[at:] if p < half][:1] or [rows[-1][0]]
    below = [hz for hz, p in rows[:at] if p < half][-1:] or [rows[0][0]]
    width_hz = above[0] - below[0]
    return Resonance(
        verdict=Verdict.MEASURED,
        peak_hz=peak_hz,
        width_hz=width_hz,
        damping=width_hz / (2 * peak_hz) if peak_hz > 0 else None,
    )


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Give the slope of the line that fits best, least squares; None for fewer than two instants.

    >>> slope([(0.0, 20.0), (1.0, 23.0), (2.0, 26.0)])
    3.0
    """
    if len({t for t, _ in points}) < 2:  # noqa: PLR2004 - a line needs two
        return None
    return statistics.linear_regression(
        [t for t, _ in points], [value for _, value in points]
    ).slope
