"""Formulas of derived features: from the channels of a frame, and of the one before it.

Each is a pure function of `Inputs`; what cannot be told is NaN. A library names a formula, which
channels its words mean, and its constants; `FORMULAS` says what each asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a formula may look at, by its own words; each [n], NaN where a device does not say.

    `before` is the frame before, in the same phase and not long ago; `elapsed_s` the time since.
    `zones` [n, 3] are a machine's zone limits A/B, B/C and C/D, mm/s.
    """

    now: Mapping[str, Floats]
    before: Mapping[str, Floats]
    elapsed_s: Floats
    zones: Floats
    constants: Mapping[str, float]

    def share(self, word: str) -> Floats:
        """Give a word as a share of its nominal; 1 where it is unknown."""
        told = self.now[word] / self.constants["nominal"]
        return np.where(np.isfinite(told), told, 1.0)


class Formula(Protocol):
    """One derived quantity."""

    def __call__(self, given: Inputs) -> Floats:
        """Give the quantity of each frame; [n]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A formula with the words and constants that it needs; `optional` words may be unknown."""

    formula: Formula
    words: tuple[str, ...]
    optional: tuple[str, ...] = ()
    constants: tuple[str, ...] = field(default=())


def ratio(given: Inputs) -> Floats:
    """`top / bottom` where the bottom is above `least`: a fan's speed over its command."""
    top, bottom = given.now["top"], given.now["bottom"]
    return top / np.where(bottom > given.constants["least"], bottom, np.nan)


def power_law(given: Inputs) -> Floats:
    """`value / (drive / nominal) ** exponent` where the drive is above a fifth of its nominal."""
    drive = given.now["drive"] / given.constants["nominal"]
    driven = np.where(drive > 0.2, drive, np.nan)  # noqa: PLR2004 - hardly driven
    told: Floats = given.now["value"] / driven ** given.constants["exponent"]
    return told


def affine(given: Inputs) -> Floats:
    """`value / (1 + slope * drive / nominal)` where the drive is above a fifth of its nominal.

    For what has a part that does not depend on the drive: a gear's torque, a cooler's rise.
    """
    drive = given.now["drive"] / given.constants["nominal"]
    driven = np.where(drive > 0.2, drive, np.nan)  # noqa: PLR2004 - hardly driven
    return given.now["value"] / (1.0 + given.constants["slope"] * driven)


def difference(given: Inputs) -> Floats:
    """`value - base`: a temperature's rise over its surroundings."""
    return given.now["value"] - given.now["base"]


def rise_law(given: Inputs) -> Floats:
    """`(value - base) / (drive / nominal) ** exponent`: a winding's rise at rated current."""
    drive = given.now["drive"] / given.constants["nominal"]
    driven = np.where(drive > 0.2, drive, np.nan)  # noqa: PLR2004 - hardly driven
    rise = given.now["value"] - given.now["base"]
    told: Floats = rise / driven ** given.constants["exponent"]
    return told


def tracking(given: Inputs) -> Floats:
    """`value - target` where a target is set: how well a controller holds it."""
    target = given.now["target"]
    return given.now["value"] - np.where(target > 0.0, target, np.nan)


def unheated(given: Inputs) -> Floats:
    """`temp - ambient` where no heat is asked for: a heater that cannot be switched off."""
    asked = np.nan_to_num(given.now["target"])
    return np.where(asked <= 0.0, given.now["temp"] - given.now["ambient"], np.nan)


def heatup_gain(given: Inputs) -> Floats:
    """Kelvin per second at full power and nominal voltage, while well below the target.

    Power counts with the square of the supply's voltage. Firmware trips on this figure (2 K in
    20 s); a weak heater's falls long before.
    """
    power = given.now["power"] * given.share("volts") ** 2
    gained = (given.now["temp"] - given.before["temp"]) / given.elapsed_s
    heating = (power > 0.2) & (given.now["temp"] < given.now["target"] - 8.0)  # noqa: PLR2004 - on its way up
    return gained / np.where(heating, power, np.nan)


def hold_power(given: Inputs) -> Floats:
    """Heating power over what target, fan and flow ask for; about 1, and each unit's own.

    Asked are `(still + air * fan + melt * flow) * (temp - ambient)` watts; `melt` is the heat that
    a mm3 of filament takes, J/(mm3 K). Told are `watts * power * (volts / nominal) ** 2`.
    """
    c, now = given.constants, given.now
    fan, flow = np.nan_to_num(now["fan"]), np.nan_to_num(now["flow"])
    above = now["temp"] - now["ambient"]
    asked = (c["still"] + c["air"] * fan + c["melt"] * flow) * np.where(above > 20.0, above, np.nan)  # noqa: PLR2004 - warm
    return c["watts"] * now["power"] * given.share("volts") ** 2 / asked


def fall_rate(given: Inputs) -> Floats:
    """Units lost in an hour; unknown where the level rose by more than `refill`."""
    lost = given.before["level"] - given.now["level"]
    kept = np.where(lost > -given.constants["refill"], lost, np.nan)
    return kept * HOUR_S / given.elapsed_s


def vibration_zone(given: Inputs) -> Floats:
    """Zone of the larger of two vibration velocities (mm/s RMS): 0 is A, 3 is D.

    Fractions tell the way through a zone. Unknown where the machine's limits are.
    """
    largest = np.fmax(given.now["drive_end"], given.now["other_end"])
    lower = np.column_stack([np.zeros(len(largest)), given.zones])
    upper = np.column_stack([given.zones, 2.0 * given.zones[:, -1]])
    through = np.clip((largest[:, None] - lower) / (upper - lower), 0.0, 1.0)
    told: Floats = through.sum(axis=1)
    return told


FORMULAS: Final[Mapping[str, Form]] = {
    "ratio": Form(formula=ratio, words=("top", "bottom"), constants=("least",)),
    "power_law": Form(
        formula=power_law, words=("value", "drive"), constants=("nominal", "exponent")
    ),
    "affine": Form(formula=affine, words=("value", "drive"), constants=("nominal", "slope")),
    "difference": Form(formula=difference, words=("value", "base")),
    "rise_law": Form(
        formula=rise_law, words=("value", "base", "drive"), constants=("nominal", "exponent")
    ),
    "tracking": Form(formula=tracking, words=("value", "target")),
    "unheated": Form(formula=unheated, words=("temp", "target", "ambient")),
    "heatup_gain": Form(
        formula=heatup_gain,
        words=("temp", "target", "power"),
        optional=("volts",),
        constants=("nominal",),
    ),
    "hold_power": Form(
        formula=hold_power,
        words=("temp", "ambient", "power"),
        optional=("fan", "flow", "volts"),
        constants=("watts", "still", "air", "melt", "nominal"),
    ),
    "fall_rate": Form(formula=fall_rate, words=("level",), constants=("refill",)),
    "vibration_zone": Form(formula=vibration_zone, words=("drive_end",), optional=("other_end",)),
}
