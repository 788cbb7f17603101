"""Every online model keeps the laws of models.laws, and the laws find those that do not."""

import struct
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anomaly import FleetScorer, ScorerSpec
from models.detectors import DETECTORS, SecondOpinion
from models.digest import Digests
from models.drift import DriftKind, DriftWatch
from models.laws import (
    PREDICT_LAWS,
    STREAM_LAWS,
    LawBroken,
    Log,
    Stream,
    batch_boundaries_do_not_matter,
    new_channels_change_nothing,
    same_seed_same_model,
    saved_model_is_the_model,
)
from models.scoring.coldstart import ColdStart, ColdState
from models.scoring.entries import FrameRows, Hazard, Outputs
from models.scoring.prognosis import Prognosis, PrognosisState
from models.signatures import SignatureModel, read_library, shipped
from models.signatures.likelihood import weigh
from tests.scoring_log import models

SPEC = ScorerSpec(channels=("a", "b", "c"), phases=(3,), warm_up=5)
WIDE = ScorerSpec(channels=tuple("abcdefg"), phases=(3,), warm_up=5)
Floats = npt.NDArray[np.float64]


def a_log(seed: int, rows: int, devices: int = 3) -> Log:
    rng = np.random.default_rng(seed)
    device = rng.integers(0, devices, rows)
    gaps = rng.choice([0, 1000, 60_000, 10**8], rows, p=[0.04, 0.05, 0.88, 0.03])
    values = rng.normal(size=(rows, 3)) + 10 * device[:, None]
    values[rng.random((rows, 3)) < 0.1] = np.nan
    values[:, 0] = 5.0
    values[rows // 2 :, 1] += 6 * (device[rows // 2 :] == 1)
    learn = rng.random(rows) > 0.05
    return Log(device=device, ts_ms=1_700_000_000_000 + np.cumsum(gaps), values=values, learn=learn)


class ScorerStream:
    """The fleet scorer, its score being all that it answers; many channels lead sums astray."""

    def __init__(self) -> None:
        self.scorer = FleetScorer(WIDE)

    def feed(self, log: Log) -> Floats:
        slots = [self.scorer.slot(d) for d in log.device.tolist()]
        ripple = np.sin(np.outer(log.ts_ms % 10_007, np.arange(1, 8)))
        values = log.values[:, [0, 1, 2, 0, 1, 2, 1]] * 10.0 ** np.arange(-3, 4) + ripple
        quality = np.where(log.learn, 0, 2)
        out = self.scorer.score(slots, log.ts_ms, np.full(len(log), 3), values, quality)
        return np.column_stack(
            [out.score, out.threshold, out.alarm, out.contributions, np.nan_to_num(out.baseline)]
        )

    def snapshot(self, device: int) -> bytes:
        return self.scorer.snapshot(self.scorer.slot(device))

    def restore(self, device: int, snapshot: bytes) -> None:
        self.scorer.restore(self.scorer.slot(device), snapshot)


class OpinionStream:
    """A river detector; it learns whatever it scores."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.opinions: dict[int, SecondOpinion] = {}

    def feed(self, log: Log) -> Floats:
        rows = zip(log.device.tolist(), log.values.tolist(), strict=True)
        return np.array([self._of(d).observe(row).score for d, row in rows])

    def snapshot(self, device: int) -> bytes:
        return self._of(device).snapshot()

    def restore(self, device: int, snapshot: bytes) -> None:
        self._of(device).restore(snapshot)

    def _of(self, device: int) -> SecondOpinion:
        return self.opinions.setdefault(device, SecondOpinion(self.name, SPEC.channels))


def opinion_stream(detector: str) -> type[OpinionStream]:
    return type(f"{detector}_stream", (OpinionStream,), {"name": detector})


class DriftStream:
    """A drift watch, its score being whether it found a drift."""

    kind: ClassVar[DriftKind]

    def __init__(self) -> None:
        self.watches: dict[int, DriftWatch] = {}

    def feed(self, log: Log) -> Floats:
        found = []
        for device, ts, value in zip(log.device, log.ts_ms, log.values[:, 2], strict=True):
            level = float(np.nan_to_num(value - 10 * device))
            found.append(self._of(int(device)).update(level, int(ts)) is not None)
        return np.array(found, np.float64)

    def snapshot(self, device: int) -> bytes:
        return self._of(device).snapshot()

    def restore(self, device: int, snapshot: bytes) -> None:
        self._of(device).restore(snapshot)

    def _of(self, device: int) -> DriftWatch:
        return self.watches.setdefault(device, DriftWatch(self.kind))


def drift_stream(kind: DriftKind) -> type[DriftStream]:
    return type(f"{kind.value}_stream", (DriftStream,), {"kind": kind})


class DigestStream:
    """Digests, a row's score being how many it completes."""

    def __init__(self) -> None:
        self.digests = Digests(channels=3, period_ms=600_000)

    def feed(self, log: Log) -> Floats:
        scores = np.zeros(len(log))
        known = np.ones(len(log), np.bool_)
        deviation = log.values.astype(np.float32)
        for i in range(len(log)):
            row = slice(i, i + 1)
            done = self.digests.add(
                log.device[row], log.ts_ms[row], deviation[row], scores[row], known[row]
            )
            scores[i] = len(done)
        return scores

    def snapshot(self, device: int) -> bytes:
        return self.digests.snapshot(device)

    def restore(self, device: int, snapshot: bytes) -> None:
        self.digests.restore(device, snapshot)


class PathStream:
    """A model on the path: a row's score is the last word on its device."""

    channels: tuple[str, ...]

    def __init__(self) -> None:
        self.words: dict[int, float] = {}

    def feed(self, log: Log) -> Floats:
        return np.array([self._row(log.rows(slice(i, i + 1))) for i in range(len(log))])

    def _row(self, log: Log) -> float:
        device = int(log.device[0])
        said = self.words.get(device, 0.0)
        told = self.look(as_frames(log))
        if told:
            self.words[device] = float(np.nan_to_num(told[-1].probability))
            said = self.words[device]
        return said

    def look(self, rows: FrameRows) -> list[Hazard]:
        raise NotImplementedError


def as_frames(log: Log) -> FrameRows:
    n = len(log)
    return FrameRows(
        device=log.device,
        rank=np.arange(n),
        ts_ms=log.ts_ms,
        schema=np.ones(n, np.int64),
        phase=np.full(n, 3),
        quality=np.zeros(n, np.int64),
        values=log.values,
    )


class LibraryStream(PathStream):
    """The signature library of pumps, on three of its channels."""

    channels = ("ambient_temp", "kurtosis_de", "bearing_temp")

    def __init__(self) -> None:
        super().__init__()
        self.cold = ColdStart(SignatureModel(library=shipped()["rotating_machine"]))

    def look(self, rows: FrameRows) -> list[Hazard]:
        for device in rows.device.tolist():
            self._seat(device)
        out = Outputs()
        words = self.cold.frames(rows, self.channels)
        self.cold.told(words, frozenset(self.cold.model.spec.components), out)
        return [h for h in out.hazards if h.component == "bearing_de"]

    def snapshot(self, device: int) -> bytes:
        self._seat(device)
        said = self.words.get(device)
        return msgspec.msgpack.encode((said, self.cold.snapshot(device)))

    def restore(self, device: int, snapshot: bytes) -> None:
        self._seat(device)
        said, state = msgspec.msgpack.decode(snapshot, type=tuple[float | None, ColdState])
        if said is not None:
            self.words[device] = said
        self.cold.restore(device, state)

    def _seat(self, device: int) -> None:
        if device not in self.cold._places:
            self.cold.seat(device)
            self.cold.installed(device, {"components": [], "model": "PUMP-45"})


class FailureStream(PathStream):
    """The failure model as scoring follows it."""

    channels = ("heat", "speed", "load")

    def __init__(self) -> None:
        super().__init__()
        self.prognosis = Prognosis("v1", models().failure_model("v1"))

    def look(self, rows: FrameRows) -> list[Hazard]:
        for device in rows.device.tolist():
            self.prognosis.seat(device)
        out = Outputs()
        self.prognosis.frames(rows, self.channels, np.zeros(len(rows.device)), out)
        return out.hazards

    def snapshot(self, device: int) -> bytes:
        said = self.words.get(device)
        return msgspec.msgpack.encode((said, self.prognosis.snapshot(device)))

    def restore(self, device: int, snapshot: bytes) -> None:
        said, state = msgspec.msgpack.decode(snapshot, type=tuple[float | None, PrognosisState])
        if said is not None:
            self.words[device] = said
        self.prognosis.restore(device, state)


STREAMS = (
    ScorerStream,
    *(opinion_stream(name) for name in DETECTORS),
    *(drift_stream(kind) for kind in DriftKind),
    DigestStream,
    LibraryStream,
    FailureStream,
)


@pytest.mark.parametrize("law", STREAM_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", STREAMS)
def test_every_stream_keeps_every_law(
    make: type[Stream], law: Callable[[Callable[[], Stream], Log], None]
) -> None:
    law(make, a_log(1, 120 if issubclass(make, PathStream) else 360))


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**16), st.integers(1, 300), st.data())
def test_no_batch_boundary_matters_to_the_scorer(seed: int, rows: int, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, rows), min_size=1, max_size=10))
    batch_boundaries_do_not_matter(ScorerStream, a_log(seed, rows), cuts)


class Careless:
    """Breaks every law of streams: it counts what it was fed, and how often."""

    def __init__(self) -> None:
        self.fed: list[float] = []

    def feed(self, log: Log) -> Floats:
        self.fed.extend(float(len(log)) for _ in range(int(log.learn.sum()) + 1))
        return np.full(len(log), sum(self.fed)) + log.values[:, 0]

    def snapshot(self, device: int) -> bytes:
        return struct.pack(f"<{len(self.fed) + 1}d", device, *self.fed)

    def restore(self, device: int, snapshot: bytes) -> None:
        self.fed = [float(device), float(len(snapshot))]


@pytest.mark.parametrize("law", STREAM_LAWS, ids=lambda law: law.__name__)
def test_a_careless_stream_is_found_out(
    law: Callable[[Callable[[], Stream], Log], None],
) -> None:
    with pytest.raises(LawBroken):
        law(Careless, a_log(1, 400))


ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def tidy(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(rows).astype(np.float64) @ np.ones(3)


def careless(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows[0] += 1
    return rows.mean(axis=1) + rows.max()


@pytest.mark.parametrize("law", PREDICT_LAWS, ids=lambda law: law.__name__)
def test_the_laws_of_prediction_tell_tidy_from_careless(law: Callable[..., None]) -> None:
    law(tidy, ROWS)
    with pytest.raises(LawBroken):
        law(careless, ROWS.copy())


def test_training_that_ignores_its_seed_is_found_out() -> None:
    rng = np.random.default_rng()
    same_seed_same_model(lambda _: tidy, ROWS)
    with pytest.raises(LawBroken):
        same_seed_same_model(lambda _: lambda rows: tidy(rows) * rng.normal(), ROWS)


def test_a_model_that_changes_when_saved_is_found_out() -> None:
    saved_model_is_the_model(tidy, lambda: tidy, ROWS)
    with pytest.raises(LawBroken):
        saved_model_is_the_model(tidy, lambda: lambda rows: tidy(rows) + 1, ROWS)


def signature_rows(family: str) -> npt.NDArray[np.float32]:
    """Rows of a library in which everything is told, by chance."""
    model = SignatureModel(library=shipped()[family])
    rng = np.random.default_rng(3)
    rows = rng.normal(10.0, 4.0, (6, model.spec.width)).astype(np.float32)
    rows[:, model.spec.parts["count"]] = 50.0
    return rows


@pytest.mark.parametrize("law", PREDICT_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("family", sorted(shipped()))
def test_a_library_keeps_the_laws_of_prediction(law: Callable[..., None], family: str) -> None:
    model = SignatureModel(library=shipped()[family])
    law(lambda rows: model.logits(weigh(model.layout, rows).odds), signature_rows(family))


@pytest.mark.parametrize("family", sorted(shipped()))
def test_a_library_that_is_read_again_is_the_same(family: str) -> None:
    def read() -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
        with as_file(files("models.signatures") / "data" / f"{family}.toml") as path:
            model = SignatureModel(library=read_library(path))
        return lambda rows: model.predict(rows).cumulative

    saved_model_is_the_model(read(), read, signature_rows(family))


def hourly(log: Log, stream: PathStream) -> Floats:
    told = [stream.look(as_frames(log.rows(slice(i, i + 1)))) for i in range(len(log))]
    return np.array([h.probability for hazards in told for h in hazards])


@pytest.mark.parametrize("make", [LibraryStream, FailureStream])
def test_unknown_channels_change_no_prediction(make: type[PathStream]) -> None:
    log = a_log(1, 300, devices=1)

    def look(channels: tuple[str, ...], values: Floats) -> Floats:
        stream = make()
        stream.channels = channels
        return hourly(
            Log(device=log.device, ts_ms=log.ts_ms, values=values, learn=log.learn), stream
        )

    assert np.isfinite(look(make.channels, log.values)).sum() > 20
    new_channels_change_nothing(look, make.channels, log.values)


def test_a_model_that_goes_by_position_is_found_out() -> None:
    new_channels_change_nothing(
        lambda names, values: values[:, names.index("b")], ("a", "b"), np.eye(2)
    )
    with pytest.raises(LawBroken):
        new_channels_change_nothing(lambda _, values: values[:, 0], ("a", "b"), np.eye(2))


def test_detectors_have_names() -> None:
    assert set(DETECTORS) == {"half_space_trees", "one_class_svm"}
    with pytest.raises(KeyError):
        SecondOpinion("no_such_detector", SPEC.channels)
