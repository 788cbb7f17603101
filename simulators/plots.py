"""Draws each fault's signature beside a healthy twin: one small SVG each, by hand, no library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulators import specs
from simulators.signatures import SIGNS, twins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulators.signatures import Sign, Twins
    from simulators.steps import Floats

DATA: Final = {
    "fdm_printer": "printer",
    "rotating_machine": "machine",
    "hydraulic_excavator": "excavator",
}
"""By family, the name of its data file."""
SEED: Final = 9
WIDE, HIGH, TOP, BOTTOM, LEFT, GAP = 720, 220, 34, 30, 56, 40
PANEL: Final = (WIDE - LEFT - 2 * GAP) / 2
WELL, ILL, GREY = "#2a7f62", "#c0392b", "#777"


def draw_all(folder: Path, *, seed: int = SEED) -> Iterator[Path]:
    """Write `FAMILY-COMPONENT-MODE.svg` for each failure mode, and give each path.

    The same seed draws the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for family, signs in SIGNS.items():
        for mode in specs.load(DATA[family]).modes:
            path = folder / f"{family}-{mode.component}-{mode.failure_mode}.svg"
            seen = twins(family, mode, seed=seed)
            title = f"{mode.component}: {mode.failure_mode}"
            path.write_text(drawing(title, signs[mode.defect], seen), "utf-8")
            yield path


def drawing(title: str, sign: Sign, seen: Twins) -> str:
    """Draw two panels over one scale: healthy on the left, falling ill on the right."""
    low, high = _span(np.concatenate([seen.ill, seen.well]))
    axes = [_text(LEFT, 16, f"{title}; {sign.label} [{sign.unit}]", "start", size=13)]
    for value in ticks(low, high):
        y = _y(value, low, high)
        axes += [_rule(f"M{LEFT},{y:.1f}H{WIDE - GAP}", "#e5e5e5")]
        axes += [_text(LEFT - 5, y + 4, _figure(value), "end")]
    left, right = LEFT, LEFT + PANEL + GAP
    onset, failure = (_x(h, seen.hours, right) for h in (seen.onset_h, 0.0))
    body = f"M{{:.1f}},{TOP}V{HIGH - BOTTOM}"
    axes += [_rule(body.format(onset), GREY, dash="4 3"), _rule(body.format(failure), ILL)]
    axes += [
        _text(onset, TOP - 4, "fault begins", "middle"),
        _text(failure, TOP - 4, "fails", "middle"),
        _text(left + PANEL / 2, TOP - 4, "healthy twin", "middle"),
        *_hours(seen.hours, left),
        *_hours(seen.hours, right),
    ]
    dots = [
        _dots(seen.hours, seen.well, left, (low, high), WELL),
        _dots(seen.hours, seen.ill, right, (low, high), ILL),
    ]
    inner = "".join((*axes, *dots))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{HIGH}" '
        f'viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif">'
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fff"/>{inner}</svg>\n'
    )


def _span(values: Floats) -> tuple[float, float]:
    """Give the scale that holds nearly all of what is shown, with room at both ends."""
    low, high = np.nanpercentile(values, [0.3, 99.7])
    room = 0.06 * (high - low) or 0.1
    return float(low - room), float(high + room)


def ticks(low: float, high: float) -> list[float]:
    """Give two to six round values within a scale, as a reader would choose them.

    >>> ticks(1.64, 5.02)
    [2.0, 3.0, 4.0, 5.0]
    """
    rough = (high - low) / 5
    size = 10.0 ** np.floor(np.log10(rough))
    step = float(next(times * size for times in (1, 2, 5, 10) if times * size >= rough))
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(number * step, 9) for number in range(first, last + 1)]


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits


def _x(hour: float, hours: Floats, left: float) -> float:
    return float(left + PANEL * (hour - hours[0]) / (hours[-1] - hours[0]))


def _y(value: float, low: float, high: float) -> float:
    return HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * (value - low) / (high - low)


def _hours(hours: Floats, left: float) -> list[str]:
    marks = (float(np.ceil(hours[0])), float(np.ceil(hours[0] / 2)), 0.0)
    return [_text(_x(h, hours, left), HIGH - 12, f"{h:.0f} h", "middle") for h in marks]


def _dots(hours: Floats, values: Floats, left: float, span: tuple[float, float], ink: str) -> str:
    low, high = span
    path = "".join(
        f"M{_x(hour, hours, left):.1f},{_y(min(max(value, low), high), low, high):.1f}h0"
        for hour, value in zip(hours.tolist(), values.tolist(), strict=True)
        if np.isfinite(value)
    )
    return f'<path d="{path}" stroke="{ink}" stroke-width="3" stroke-linecap="round" fill="none"/>'


def _rule(path: str, ink: str, dash: str = "none") -> str:
    return f'<path d="{path}" stroke="{ink}" stroke-dasharray="{dash}" fill="none"/>'


def _text(x: float, y: float, words: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="#333">{words}</text>'
    )
