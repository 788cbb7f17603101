"""What a site does to its devices: room temperature, hot spells, dips of the mains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from simulators.steps import Floats, Ints

DEVICES_PER_SITE: Final = 6
EVERY_S: Final = 600.0
"""Weather moves on no oftener than this, seconds."""
DAY_S: Final = 86_400.0
HOT_SPELLS_PER_H: Final = 1 / 170
"""Engineering estimate: about one a week at each site."""
DIPS_PER_H: Final = 1 / 26
"""Engineering estimate: brief under-voltage of a site's mains about once a day."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sites:
    """Constants of each site [s], and which site a device stands at [n]."""

    of_device: Ints
    mean_c: Floats
    swing_k: Floats
    peak_s: Floats
    sun: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weather:
    """What changes at each site [s]; hours left of a spell or dip, kelvin, share of the mains."""

    drift_k: Floats
    spell_h: Floats
    spell_k: Floats
    warmth_k: Floats
    dip_h: Floats
    dip: Floats


def draw_sites(rng: np.random.Generator, devices: int) -> Sites:
    """Spread devices over sites that differ in climate."""
    count = -(-devices // DEVICES_PER_SITE)
    return Sites(
        of_device=np.arange(devices, dtype=np.int64) % count,
        mean_c=21.5 + 3.0 * np.clip(rng.standard_normal(count), -2.0, 2.0),
        swing_k=rng.uniform(1.0, 3.6, count),
        peak_s=rng.uniform(0.0, DAY_S, count),
        sun=rng.uniform(0.6, 1.3, count),
    )


def calm(sites: Sites) -> Weather:
    """Give the weather at the start: none."""
    zero = np.zeros_like(sites.mean_c)
    return Weather(drift_k=zero, spell_h=zero, spell_k=zero, warmth_k=zero, dip_h=zero, dip=zero)


def advance(weather: Weather, rng: np.random.Generator, dt_s: float) -> Weather:
    """Move every site on by `dt_s` seconds; always draws the same number of variates."""
    count = weather.drift_k.size
    u = rng.random((6, count))
    dt_h = dt_s / 3600.0
    hot = (weather.spell_h <= 0.0) & (u[0] < HOT_SPELLS_PER_H * dt_h)
    dip = (weather.dip_h <= 0.0) & (u[3] < DIPS_PER_H * dt_h)
    spell_h = np.where(hot, 8.0 + 22.0 * u[1], weather.spell_h - dt_h)
    spell_k = np.where(hot, 3.0 + 6.0 * u[2], weather.spell_k)
    dip_h = np.where(dip, 0.06 + 0.6 * u[4], weather.dip_h - dt_h)
    aim = np.where(spell_h > 0.0, spell_k, 0.0)
    drift = weather.drift_k * (1.0 - dt_h / 60.0)
    return Weather(
        drift_k=drift + 1.4 * np.sqrt(2.0 * dt_h / 60.0) * rng.standard_normal(count),
        spell_h=spell_h,
        spell_k=spell_k,
        warmth_k=weather.warmth_k + (aim - weather.warmth_k) * min(1.0, dt_h / 2.5),
        dip_h=dip_h,
        dip=np.where(dip, 0.012 + 0.038 * u[5], weather.dip),
    )


def wander(before: Floats, size: float, z: Floats, share: float) -> Floats:
    """Move a mean-reverting walk of deviation `size` on by `share` of its time constant."""
    keep = math.exp(-share)
    return np.asarray(before * keep + size * math.sqrt(1.0 - keep * keep) * z)


def room_c(sites: Sites, weather: Weather, ts_ms: int) -> Floats:
    """Room temperature at each device [n], degC."""
    turn = 2.0 * np.pi * (ts_ms / 1000.0 - sites.peak_s) / DAY_S
    site = sites.mean_c + sites.swing_k * np.cos(turn) + weather.drift_k
    return np.asarray((site + sites.sun * weather.warmth_k)[sites.of_device])


def mains_dip(sites: Sites, weather: Weather) -> Floats:
    """Share of the mains voltage that is missing at each device [n]."""
    return np.asarray(np.where(weather.dip_h > 0.0, weather.dip, 0.0)[sites.of_device])
