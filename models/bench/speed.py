"""How fast and how large the fleet scorer is, beside river's half-space trees in the same run."""

import time
from dataclasses import dataclass

import numpy as np
from river import anomaly, compose, preprocessing

from models.anomaly import FleetScorer, ScorerSpec
from models.detectors import Detector

RUNNING = 3
STEP_MS = 60_000
TURNS = 6
WARM = 1200
"""Frames of each device before the clock runs: less than two days of minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured, on one core."""

    devices: int
    channels: int
    channel_values_per_s: float
    """Scored and learnt by the fleet scorer."""
    river_hst_per_s: float
    """Likewise by one half-space-trees detector per channel, behind the scaling to [0, 1] that it
    needs, as river's documentation shows it."""
    ratio_river_hst: float
    river_hst_unscaled_per_s: float
    """Without the scaling, on values that happen to lie in [0, 1]."""
    ratio_river_hst_unscaled: float
    bytes_per_device: int
    microseconds_per_wave_of_16: float
    """What a wave of 16 devices costs, when there are no more."""


def figures(devices: int = 1000, channels: int = 10, seconds: float = 3.0) -> Figures:
    """Measure; each of the four parts takes about `seconds` of processor time.

    They take turns, so that a busy minute of the machine falls on all of them.
    """
    fleet, few = _Fleet(_settled(devices, channels)), _Fleet(_settled(16, channels))
    scaled = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    trees = anomaly.HalfSpaceTrees(seed=1)
    turns = [
        (fleet.rate(part), few.rate(part), _river_speed(scaled, part), _river_speed(trees, part))
        for part in [seconds / TURNS] * TURNS
    ]
    # Equal times each: the harmonic mean of rates would be for equal work.
    mine, of_few, river, bare = np.mean(turns, axis=0).tolist()
    return Figures(
        devices=devices,
        channels=channels,
        channel_values_per_s=mine,
        river_hst_per_s=river,
        ratio_river_hst=mine / river,
        river_hst_unscaled_per_s=bare,
        ratio_river_hst_unscaled=mine / bare,
        bytes_per_device=fleet.scorer.bytes_per_device,
        microseconds_per_wave_of_16=16e6 * channels / of_few,
    )


class _Fleet:
    """Devices that have been known for long, and go on."""

    def __init__(self, scorer: FleetScorer) -> None:
        self.scorer = scorer
        self._frame = WARM
        size = (64, len(scorer.devices), len(scorer.spec.channels))
        self._noise = np.random.default_rng(0).normal(size=size)

    def rate(self, seconds: float) -> float:
        """Channel values scored and learnt per processor second."""
        devices, channels = len(self.scorer.devices), len(self.scorer.spec.channels)
        slots, phase = np.arange(devices), np.full(devices, RUNNING)
        spent, waves = 0.0, 0
        while spent < seconds:
            self._frame += 1
            ts = np.full(devices, STEP_MS * self._frame)
            start = time.process_time()
            self.scorer.score(slots, ts, phase, self._noise[self._frame % 64])
            spent += time.process_time() - start
            waves += 1
        return waves * devices * channels / spent


def _settled(devices: int, channels: int) -> FleetScorer:
    """A scorer whose devices all remember the same `WARM` frames."""
    scorer = FleetScorer(ScorerSpec(channels=tuple(f"c{i}" for i in range(channels))))
    slots = [scorer.slot(device) for device in range(devices)]
    scorer.score(
        np.zeros(WARM, np.int64),
        STEP_MS * np.arange(1, WARM + 1),
        np.full(WARM, RUNNING),
        np.random.default_rng(1).normal(size=(WARM, channels)),
    )
    memory = scorer.snapshot(0)
    for slot in slots:
        scorer.restore(slot, memory)
    return scorer


def _river_speed(detector: Detector, seconds: float) -> float:
    """Values per processor second of one detector on one channel."""
    values = np.random.default_rng(0).random(4096).tolist()
    start, done = time.process_time(), 0
    while time.process_time() - start < seconds:
        for value in values[:256]:
            detector.score_one({"c": value})
            detector.learn_one({"c": value})
        done += 256
    return done / (time.process_time() - start)
