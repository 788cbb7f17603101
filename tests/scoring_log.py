"""An input log of a small fleet with all that makes scoring hard, and a model that is taught."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from foremend.values import PART_REPLACED
from models import priors
from models.features import FeatureSpec
from models.fitting import TrainingPlan
from models.history import NO_MARKS, Findings, Frames, History, Marks
from models.priors import PriorSet
from models.scoring.entries import Adoption, Batch, EventRow, FrameRows, Introduction, Outputs
from models.training import train

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.anomaly import CohortPrior
    from models.failure import FailureModel
    from models.scoring.engine import Engine
    from models.scoring.entries import Entry

START = 1_767_225_600_000
HOUR = 3_600_000
STEP = HOUR // 4
PARTS = ("fan", "belt")
CHANNELS = {
    1: ({"name": "heat"}, {"name": "speed", "component": "fan"}, {"name": "load"}),
    2: ({"name": "load"}, {"name": "speed", "component": "fan"}, {"name": "odd"}, {"name": "n"}),
    3: ({"name": "speed", "component": "fan"}, {"name": "heat"}, {"name": "load"}),
}
"""Per schema, the channels it tells; the first and the last are of one width."""
SPEC = FeatureSpec(
    family="toy",
    channels=("heat", "speed", "load"),
    components=PARTS,
    codes=("E1", "E2"),
    channel_component=(-1, 0, -1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that a device says: a frame where there are values, else an event."""

    ts_ms: int
    schema: int = 1
    phase: int = 3
    quality: int = 0
    values: tuple[float, ...] | None = None
    code: str = ""
    severity: str = "info"
    component: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What one device says, in its order; a dictionary is a birth."""

    number: int
    partition: int
    says: tuple[Told | dict[str, Any], ...]


def birth(number: int, schema: int, *, family: str = "toy", boot: int = 1) -> dict[str, Any]:
    """Give what ingest logs of a birth."""
    parts = [{"instance": p, "kind": p, "installed_at_ms": START - 90 * HOUR} for p in PARTS]
    return {
        "device_id": number,
        "boot_id": boot,
        "schema_id": schema,
        "tenant": "t",
        "name": f"device-{number}",
        "timeline": "sim:t",
        "family": family,
        "booted_ms": START,
        "channels": [dict(channel, unit="1", kind="gauge") for channel in CHANNELS[schema]],
        "components": parts,
    }


def a_life(rng: np.random.Generator, schema: int, frames: int, *, begin: int) -> list[Told]:
    """Draw frames that drift, jump, fall silent and arrive late, with events between them."""
    width = len(CHANNELS[schema])
    ts = begin + np.cumsum(
        rng.choice([0, 1000, STEP, 9 * HOUR], frames, p=[0.02, 0.02, 0.95, 0.01])
    )
    ts -= rng.choice([0, 2 * HOUR], frames, p=[0.97, 0.03])
    x = rng.normal(size=(frames, width)) + 10.0
    x[2 * frames // 3 : 5 * frames // 6, 1] -= np.linspace(0, 30, 5 * frames // 6 - 2 * frames // 3)
    x[rng.random((frames, width)) < 0.05] = np.nan
    phase = rng.choice([1, 2, 3, 6], frames, p=[0.02, 0.02, 0.94, 0.02])
    quality = rng.choice([0, 1, 2], frames, p=[0.9, 0.05, 0.05])
    told: list[Told] = []
    for i in range(frames):
        at = int(ts[i])
        told.append(
            Told(
                ts_ms=at,
                schema=schema,
                phase=int(phase[i]),
                quality=int(quality[i]),
                values=tuple(x[i].tolist()),
            )
        )
        told += an_event(rng, at)
    return told


def an_event(rng: np.random.Generator, at: int) -> list[Told]:
    """Draw what happens after a frame: mostly nothing."""
    if rng.random() > 0.03:
        return []
    part = str(rng.choice([*PARTS, "not_a_part"]))
    options = (
        Told(ts_ms=at, code="E1", severity="error"),
        Told(ts_ms=at, code="E9", severity="warning"),
        Told(ts_ms=at, code="job_ended"),
        Told(ts_ms=at, code=PART_REPLACED, component=part),
    )
    return [options[int(rng.choice(len(options), p=[0.5, 0.2, 0.15, 0.15]))]]


def fleet(seed: int, frames: int) -> tuple[Device, ...]:
    """Draw devices of two partitions, two families and several lists of channels."""
    rng = np.random.default_rng(seed)
    half, later = frames // 2, START + frames * STEP // 2

    def lives(*schemas: int) -> list[list[Told]]:
        part = frames // len(schemas)
        begin = [START + i * part * STEP for i in range(len(schemas))]
        return [
            a_life(rng, schema, part, begin=at) for schema, at in zip(schemas, begin, strict=True)
        ]

    (whole,), (other,), (fourth,) = lives(1), lives(1), lives(2)
    first, second, third = lives(1, 2, 1)
    stray = a_life(rng, 1, 3, begin=later)
    return (
        Device(number=11, partition=1, says=(birth(11, 1), *whole)),
        Device(
            number=12,
            partition=1,
            says=(birth(12, 1), *other[:half], birth(12, 1, boot=2), *other[half:]),
        ),
        Device(
            number=13,
            partition=1,
            says=(
                *(birth(13, 1), *first),
                *(birth(13, 2, boot=2), *stray, *second),
                *(birth(13, 1, boot=3), *third),
            ),
        ),
        Device(number=24, partition=2, says=(birth(24, 2), *fourth)),
        Device(number=25, partition=2, says=(birth(25, 3, family="else"), *lives(3)[0])),
    )


def adoptions(partition: int, *versions: str) -> list[Adoption]:
    """Give adoptions for the devices of the taught family; `v1+p2` are a model and priors."""
    return [
        Adoption(
            partition=partition,
            kind="prior" if one.startswith("p") else "model",
            cohort="toy",
            version=one,
        )
        for version in versions
        for one in version.split("+")
    ]


def cut_log(
    devices: Sequence[Device], versions: Sequence[str], rng: np.random.Generator
) -> list[Entry]:
    """Cut what devices say into batches at random, partition by partition, and mix these.

    Each device's order is kept, and each version is adopted after an equal share of what each
    device says, however all of it is cut.
    """
    queues = [_partition_log(devices, p, versions, rng) for p in (1, 2)]
    mixed: list[Entry] = []
    while any(queues):
        queue = queues[int(rng.integers(len(queues)))]
        mixed += [queue.pop(0) for _ in range(min(len(queue), int(rng.integers(1, 4))))]
    return mixed


def _partition_log(
    devices: Sequence[Device], partition: int, versions: Sequence[str], rng: np.random.Generator
) -> list[Entry]:
    mine = [device for device in devices if device.partition == partition]
    entries: list[Entry] = []
    for turn in range(len(versions) + 1):
        left = [list(_share(device.says, turn, len(versions) + 1)) for device in mine]
        while any(left):
            entries += _next_entries(mine, left, partition, rng)
        entries += adoptions(partition, *versions[turn : turn + 1])
    return entries


def _share(says: Sequence[Any], turn: int, turns: int) -> Sequence[Any]:
    return says[len(says) * turn // turns : len(says) * (turn + 1) // turns]


def _next_entries(
    devices: Sequence[Device],
    left: list[list[Told | dict[str, Any]]],
    partition: int,
    rng: np.random.Generator,
) -> list[Entry]:
    """Take births that are next, then some of what follows of each device, as one commit does."""
    births = [q.pop(0) for q in left if q and isinstance(q[0], dict)]
    most = int(rng.choice([1, 5, 40, 200]))
    taken: dict[int, list[Told]] = {}
    for device, queue in zip(devices, left, strict=True):
        some = int(rng.integers(0, most + 1))
        while queue and some and isinstance(queue[0], Told):
            taken.setdefault(device.number, []).append(queue.pop(0))
            some -= 1
    entries: list[Entry] = [Introduction(partition=partition, payload=b) for b in births]
    return [*entries, batch(partition, taken)] if taken else entries


def batch(partition: int, taken: dict[int, list[Told]]) -> Batch:
    """Give one commit's batch of what these devices say."""
    placed = [(d, rank, told) for d, says in taken.items() for rank, told in enumerate(says)]
    widths = sorted({len(t.values) for _, _, t in placed if t.values is not None})
    return Batch(
        partition=partition,
        frames=tuple(
            _frame_rows([p for p in placed if p[2].values and len(p[2].values) == width])
            for width in widths
        ),
        events=tuple(
            EventRow(
                device=device,
                rank=rank,
                ts_ms=told.ts_ms,
                code=told.code,
                severity=told.severity,
                component=told.component,
            )
            for device, rank, told in placed
            if told.values is None
        ),
    )


def _frame_rows(placed: Sequence[tuple[int, int, Told]]) -> FrameRows:
    return FrameRows(
        device=np.array([d for d, _, _ in placed], dtype=np.int64),
        rank=np.array([rank for _, rank, _ in placed], dtype=np.int64),
        ts_ms=np.array([t.ts_ms for *_, t in placed], dtype=np.int64),
        schema=np.array([t.schema for *_, t in placed], dtype=np.int64),
        phase=np.array([t.phase for *_, t in placed], dtype=np.int64),
        quality=np.array([t.quality for *_, t in placed], dtype=np.int64),
        values=np.array([t.values for *_, t in placed], dtype=np.float64),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """Models and priors by name, as the registry would give them."""

    by_version: dict[str, FailureModel]

    def failure_model(self, version: str) -> FailureModel:
        """Give one."""
        return self.by_version[version]

    def priors(self, version: str) -> PriorSet:
        """Give `p1`, for every list of channels, or `p2`, for the first alone."""
        return cohort_priors()[version]


@cache
def cohort_priors() -> dict[str, PriorSet]:
    """Learn what devices of the taught family are like, once of all lists and once of one."""
    learnt = {
        (seed, schema): priors.learn(CHANNELS[schema], healthy_frames(seed, len(CHANNELS[schema])))
        for seed, schema in ((1, 1), (1, 2), (1, 3), (2, 1))
    }
    sets: dict[str, dict[bytes, CohortPrior]] = {"p1": {}, "p2": {}}
    for (seed, _), one in learnt.items():
        assert one is not None
        assert one.prior is not None
        sets[f"p{seed}"][one.prior.digest] = one.prior
    return {name: PriorSet(kept) for name, kept in sets.items()}


def healthy_frames(
    seed: int, width: int, devices: int = 6, hours: int = 30, apart: float = 1.0
) -> Frames:
    """Draw frames of devices to which nothing happens."""
    rng = np.random.default_rng(seed)
    steps = hours * HOUR // STEP
    usual = 10.0 + apart * rng.normal(size=(1, devices, 1))
    values = usual + rng.normal(size=(steps, devices, width))
    return Frames.of_grid(START + np.arange(steps) * STEP, np.full((steps, devices), 3), values)


@cache
def models() -> Known:
    """Teach one model, and give it under several names.

    `v1` and `v2` differ by threshold, `v3` follows another layout of features.
    """
    model = train(failing_fleet(), TrainingPlan(horizons_h=(6.0, 24.0), jobs=1)).model
    wary = replace(model, thresholds=(0.02,) * len(PARTS))
    bold = replace(model, thresholds=(0.1,) * len(PARTS))
    other = replace(model, spec=replace(model.spec, step_ms=2 * HOUR))
    return Known({"v1": wary, "v2": bold, "v3": replace(other, thresholds=(0.02,) * len(PARTS))})


def failing_fleet(devices: int = 10, hours: int = 60) -> History:
    """Draw a history in which fans slow down, say E1, and fail."""
    rng = np.random.default_rng(5)
    fails = 30 + np.arange(devices) * 3
    at = START + np.arange(hours) * HOUR + 1
    x = rng.normal(size=(hours, devices, 3)) + 10.0
    worn = np.clip(np.arange(hours)[:, None] - (fails[None, :] - 20), 0, 20)
    x[:, :, 1] -= np.where(np.arange(hours)[:, None] < fails, worn * 0.5, 0.0)
    who, when = np.arange(devices), START + fails * HOUR
    failed = Marks.of(who, when, who % 2)
    return History(
        spec=SPEC,
        devices=tuple(f"unit-{i:02d}" for i in range(devices)),
        frames=Frames.of_grid(at, np.full((hours, devices), 3), x),
        events=Marks.of(who, when - 3 * HOUR, np.zeros(devices)),
        replacements=failed,
        findings=Findings.failures(failed),
        installs=NO_MARKS,
        until_ms=int(at[-1]),
    )


def play(engine: Engine, entries: Sequence[Entry], cuts: Iterable[int] = ()) -> Outputs:
    """Let the engine take entries in stretches that end at the cuts; gives all that follows."""
    out = Outputs()
    ends = sorted({min(cut, len(entries)) for cut in cuts} | {len(entries)})
    for begin, end in zip([0, *ends], ends, strict=False):
        told = engine.take(entries[begin:end])
        for name in Outputs.__slots__:
            getattr(out, name).extend(getattr(told, name))
    return out


def by_device(out: Outputs) -> dict[int, bytes]:
    """Give each device's outputs as bytes; NaN equals NaN there, and only the same bits do."""
    told: dict[int, list[Any]] = {}
    for one in (*out.health, *out.anomalies, *out.hazards, *out.predictions):
        whose = one.hazard.device if hasattr(one, "hazard") else one.device
        told.setdefault(whose, []).append(one)
    return {device: msgspec.msgpack.encode(mine) for device, mine in told.items()}


def states(engine: Engine) -> dict[int, dict[str, bytes]]:
    """Give the snapshots of both partitions."""
    return {partition: engine.snapshot(partition) for partition in (1, 2)}


def kinds(out: Outputs) -> Counter[str]:
    """Count outputs by what they are, to show that a log brings all of them about."""
    return Counter(type(one).__name__ for n in Outputs.__slots__ for one in getattr(out, n))
