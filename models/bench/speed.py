"""How fast and how large the fleet scorer is, beside river's half-space trees in the same run."""

import time
from dataclasses import dataclass

import numpy as np
from river import anomaly, compose, preprocessing

from models.anomaly import FleetScorer, ScorerSpec
from models.detectors import Detector

RUNNING = 3
STEP_MS = 60_000
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
    """Measure; each of the four parts takes about `seconds` of processor time."""
    scorer, per_frame = _scorer_speed(devices, channels, seconds)
    _, per_frame_of_few = _scorer_speed(16, channels, seconds)
    trees = anomaly.HalfSpaceTrees(seed=1)
    bare = _river_speed(trees, seconds)
    scaler = preprocessing.MinMaxScaler()
    river = _river_speed(compose.Pipeline(scaler, anomaly.HalfSpaceTrees(seed=1)), seconds)
    mine = channels / per_frame
    return Figures(
        devices=devices,
        channels=channels,
        channel_values_per_s=mine,
        river_hst_per_s=river,
        ratio_river_hst=mine / river,
        river_hst_unscaled_per_s=bare,
        ratio_river_hst_unscaled=mine / bare,
        bytes_per_device=scorer.bytes_per_device,
        microseconds_per_wave_of_16=16e6 * per_frame_of_few,
    )


def _scorer_speed(devices: int, channels: int, seconds: float) -> tuple[FleetScorer, float]:
    """The scorer, and processor seconds per frame, on devices that have been known for long."""
    scorer = _settled(devices, channels)
    slots, phase = np.arange(devices), np.full(devices, RUNNING)
    noise = np.random.default_rng(0).normal(size=(64, devices, channels))
    spent, frame = 0.0, 0
    while spent < seconds:
        ts = np.full(devices, STEP_MS * (WARM + frame + 1))
        start = time.process_time()
        scorer.score(slots, ts, phase, noise[frame % 64])
        spent += time.process_time() - start
        frame += 1
    return scorer, spent / (devices * frame)


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
