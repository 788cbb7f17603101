"""What the scoring service makes of frames: rows as the database gives them in, outputs out.

Left out are the database itself and failure models, of which each family has its own.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.bench.speed import RUNNING, STEP_MS, WARM
from models.failure import FailureModel
from models.priors import PriorSet
from models.scoring.engine import Engine
from models.scoring.entries import Introduction
from models.scoring.store import batch_of, grouped

FRAMES_A_BATCH: Final = 4
"""Of each device."""
HOUR_FRAMES: Final = 3_600_000 // STEP_MS
_PARTITION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFigures:
    """Measured over an hour of a fleet's minutes: digests and second opinions are in it."""

    service_channel_values_per_s: float
    """Per processor second, all told."""
    service_decoded_per_s: float
    """The part that makes arrays of rows."""
    service_scored_per_s: float
    """The part from arrays to outputs."""


class _NoModels:
    def failure_model(self, version: str) -> FailureModel:
        raise KeyError(version)

    def priors(self, version: str) -> PriorSet:
        raise KeyError(version)


def service_figures(devices: int = 1000, channels: int = 10, hours: int = 1) -> ServiceFigures:
    """Measure on devices that have been known for more than a day.

    The first hour, which makes each device's detectors, is before the clock runs.
    """
    engine = _settled(devices, channels)
    _, begin = _played(engine, devices, channels, begin=WARM, frames=HOUR_FRAMES)
    (decoded, scored), end = _played(
        engine, devices, channels, begin=begin, frames=hours * HOUR_FRAMES
    )
    values = (end - begin) * devices * channels
    return ServiceFigures(
        service_channel_values_per_s=values / (decoded + scored),
        service_decoded_per_s=values / decoded,
        service_scored_per_s=values / scored,
    )


def _played(
    engine: Engine, devices: int, channels: int, *, begin: int, frames: int
) -> tuple[tuple[float, float], int]:
    """Processor seconds of both parts, and the number of the frame after the last."""
    rng = np.random.default_rng(begin)
    decoded = scored = 0.0
    for first in range(begin, begin + frames, FRAMES_A_BATCH):
        rows = _rows(rng, devices, channels, first)
        start = time.process_time()
        batch = batch_of(_PARTITION, grouped(rows)[1, _PARTITION], [])
        between = time.process_time()
        engine.take([batch])
        decoded, scored = decoded + between - start, scored + time.process_time() - between
    return (decoded, scored), begin + -(-frames // FRAMES_A_BATCH) * FRAMES_A_BATCH


def _rows(
    rng: np.random.Generator, devices: int, channels: int, first: int
) -> list[tuple[Any, ...]]:
    values = rng.normal(size=(devices, FRAMES_A_BATCH, channels)).tolist()
    return [
        (1, _PARTITION, device, 1, frame, STEP_MS * (frame + 1), 1, RUNNING, 0, told)
        for device in range(devices)
        for frame, told in enumerate(values[device], first)
    ]


def _settled(devices: int, channels: int) -> Engine:
    """An engine whose devices all remember the same `WARM` frames."""
    engine = Engine(_NoModels())
    told = [{"name": f"c{i}", "kind": "gauge"} for i in range(channels)]
    engine.take(
        Introduction(partition=_PARTITION, payload=_birth(device, told))
        for device in range(devices)
    )
    (lane,) = engine.lanes
    lane.scorer.score(
        np.zeros(WARM, np.int64),
        STEP_MS * np.arange(1, WARM + 1),
        np.full(WARM, RUNNING),
        np.random.default_rng(1).normal(size=(WARM, channels)),
    )
    memory = lane.scorer.snapshot(0)
    for device in range(devices):
        lane.scorer.restore(lane.seat(device), memory)
    return engine


def _birth(device: int, channels: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "device_id": device,
        "schema_id": 1,
        "tenant": "bench",
        "timeline": "bench",
        "family": "bench",
        "channels": channels,
        "components": [],
    }
