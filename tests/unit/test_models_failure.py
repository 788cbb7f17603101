"""The failure model: what it learns from few failures, and the laws that it keeps."""

from __future__ import annotations

import io
from dataclasses import replace

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from models import diagnosis, laws
from models.diagnosis import ReasonKind
from models.failure import Abstention, FailureModel, WrongPayload
from models.features import FeatureSpec, Rows
from models.fitting import TrainingPlan
from models.history import Findings, Frames, History, Marks, rows_of
from models.slices import HeldOut
from models.training import TooFewFailures, train, train_rows

H = 3_600_000
DAYS, DEVICES = 26, 12
SPEC = FeatureSpec(
    family="pump", channels=("flow", "heat"), components=("seal", "motor"), codes=("E1", "E2")
)
CHANNEL_OF, CODE_OF = {0: 0, 1: 1}, {0: 0, 1: 1}
PLAN = TrainingPlan(jobs=1, seed=3, bags_of_few=2)


def a_history(seed: int, spec: FeatureSpec = SPEC) -> History:
    """Devices whose part fails two days after its channel has moved and a day after its code.

    Channel and code are the part's own; codes also come by themselves, and parts are replaced
    without having failed.
    """
    rng = np.random.default_rng(seed)
    hours = DAYS * 24
    values = rng.normal(size=(hours, DEVICES, 2)) + rng.normal(0, 20, (DEVICES, 2)) + 100
    failed, events, swaps = [], [], []
    for device in range(DEVICES):
        for at in rng.integers(130, hours, 2 + device % 2):
            part = int(rng.integers(0, 2))
            failed.append((device, int(at) * H, part))
            values[max(at - 48, 0) : at, device, CHANNEL_OF[part]] += 4.0
            events.append((device, (int(at) - 24) * H, CODE_OF[part]))
        noise = rng.integers(1, hours, (2, 4))
        events += [(device, int(t) * H, i % 2) for i, t in enumerate(noise[0])]
        swaps += [(device, int(t) * H, i % 2) for i, t in enumerate(noise[1][:1])]
    failures = Marks.of(*zip(*failed, strict=True))
    return History(
        spec=spec,
        devices=tuple(f"d{i}" for i in range(DEVICES)),
        frames=Frames.of_grid(np.arange(1, hours + 1) * H, np.zeros((hours, DEVICES)), values),
        events=Marks.of(*zip(*events, strict=True)),
        replacements=Marks.of(*zip(*(failed + swaps), strict=True)),
        findings=Findings.failures(failures),
        installs=Marks.of([0], [1], [0]),
        until_ms=hours * H,
    )


@pytest.fixture(scope="module")
def history() -> History:
    return a_history(1)


@pytest.fixture(scope="module")
def rows(history: History) -> Rows:
    return rows_of(history)


@pytest.fixture(scope="module")
def progress() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def model(rows: Rows, history: History, progress: list[tuple[str, int, int]]) -> FailureModel:
    return train_rows(rows, history, PLAN, progress=lambda *step: progress.append(step)).model


@pytest.fixture(scope="module")
def unseen() -> tuple[History, Rows]:
    other = a_history(2)
    return other, rows_of(other)


def before_failures(history: History, rows: Rows, hours: int) -> list[tuple[int, int]]:
    """Give row and component so many hours before each failure, first failures alone."""
    f, out = history.failures, []
    for device, ts, part in zip(f.device, f.ts_ms, f.what, strict=True):
        at = np.flatnonzero((rows.device == device) & (rows.ts_ms == ts - hours * H))
        quiet = not ((f.device == device) & (abs(f.ts_ms - ts) < 72 * H) & (f.ts_ms != ts)).any()
        if len(at) and quiet:
            out.append((int(at[0]), int(part)))
    return out


def test_it_foresees_the_right_part_of_devices_it_never_saw(model, unseen):
    history, rows = unseen
    told = before_failures(history, rows, 12)
    due = model.alarms(model.predict(rows.values))
    assert np.mean([due[i, k] for i, k in told]) >= 0.9
    assert np.mean([due[i, 1 - k] for i, k in told]) <= 0.1
    assert due.mean() < 0.1


def test_the_true_channel_and_code_lead_the_reasons(model, unseen):
    history, rows = unseen
    right = []
    for i, k in before_failures(history, rows, 12):
        why = diagnosis.reasons(model, rows.values[i], component=k)
        channels = [r.subject for r in why if r.kind is ReasonKind.CHANNEL]
        codes = [r.subject for r in why if r.kind is ReasonKind.CODE]
        right.append(
            channels[:1] == [SPEC.channels[CHANNEL_OF[k]]] and codes[:1] == [SPEC.codes[CODE_OF[k]]]
        )
    assert np.mean(right) >= 0.9


def test_a_reason_tells_now_usual_and_change(model, unseen):
    history, rows = unseen
    i, k = before_failures(history, rows, 12)[0]
    reasons = diagnosis.reasons(model, rows.values[i], component=k)
    told = next(r for r in reasons if r.kind is ReasonKind.CHANNEL).parameters
    assert 2.0 < told["now"] - told["usual"] < 7.0
    assert told["change_percent"] == pytest.approx(
        100 * (told["now"] - told["usual"]) / abs(told["usual"])
    )


def test_probabilities_never_fall_along_the_horizons(model, rows):
    told = model.predict(rows.values[::7])
    certain = told.cumulative[told.abstained == Abstention.NONE]
    assert (np.diff(certain, axis=-1) >= 0).all()
    assert ((certain >= 0) & (certain <= 1)).all()


@pytest.mark.parametrize("law", laws.PREDICT_LAWS, ids=lambda law: law.__name__)
def test_it_keeps_the_laws_of_prediction(law, model, rows):
    law(model.logits, rows.values[500:5000:397])


def test_the_same_seed_gives_the_same_predictions_on_any_number_of_threads(history, rows, model):
    with threadpool_limits(limits=2):
        again = train_rows(rows, history, PLAN).model
        other = again.predict(rows.values).cumulative.tobytes()
    with threadpool_limits(limits=1):
        assert model.predict(rows.values).cumulative.tobytes() == other


def test_a_saved_model_is_the_model(model, rows):
    values = rows.values[::101]
    laws.saved_model_is_the_model(
        lambda v: model.predict(v).cumulative,
        lambda: lambda v: FailureModel.load(model.dumps()).predict(v).cumulative,
        values,
    )


def test_bytes_of_something_else_are_no_model(model):
    buffer = io.BytesIO()
    joblib.dump({"not": "a model"}, buffer)
    with pytest.raises(WrongPayload):
        FailureModel.load(buffer.getvalue())


def test_it_abstains_and_says_why(model, rows):
    blind = rows.values[2000:2001].copy()
    blind[:, model.spec.parts["level"]] = np.nan
    assert (model.predict(blind).abstained == Abstention.NO_TELEMETRY).all()
    young = rows.values[2000:2001].copy()
    young[:, model.spec.parts["device"].start] = 1.0
    told = model.predict(young)
    assert (told.abstained == Abstention.WARMING_UP).all()
    assert np.isnan(told.cumulative).all()
    assert not model.alarms(told).any()


def test_a_part_with_too_few_failures_is_not_told(history, rows):
    f = history.findings
    one = np.flatnonzero(f.what == 1)[:1]
    kept = (f.what == 0) | np.isin(np.arange(len(f.what)), one)
    scarce = replace(history, findings=f.where(kept))
    model = train_rows(rows, scarce, PLAN).model
    told = model.predict(rows.values[1000:1002]).abstained
    assert (told[:, 1] == Abstention.TOO_FEW_FAILURES).all()
    assert (told[:, 0] == Abstention.NONE).all()


def test_hardly_any_failures_are_refused(history):
    f = history.findings
    none = replace(history, findings=f.where(np.arange(len(f.what)) < 2))
    with pytest.raises(TooFewFailures):
        train(none, PLAN)


def test_where_devices_are_held_out_it_learns_as_well(history, rows, unseen):
    model = train_rows(rows, history, replace(PLAN, held_out=HeldOut.DEVICES)).model
    other, theirs = unseen
    due = model.alarms(model.predict(theirs.values))
    assert np.mean([due[i, k] for i, k in before_failures(other, theirs, 12)]) >= 0.9


def test_progress_is_told(progress, model):
    assert progress[-1] == ("calibrate", 1, 1)
    fits = [done for stage, done, _ in progress if stage == "fit"]
    assert fits == list(range(1, len(fits) + 1))


@pytest.mark.parametrize("held_out", list(HeldOut))
@pytest.mark.parametrize("failures", [3, 6])
def test_hardly_enough_failures_make_a_shy_model_and_no_error(held_out, failures, history, rows):
    f = history.findings
    few = np.isin(np.arange(len(f.ts_ms)), np.argsort(f.ts_ms)[:failures])
    scarce = replace(history, findings=f.where(few))
    model = train_rows(rows, scarce, replace(PLAN, held_out=held_out)).model
    assert model.alarms(model.predict(rows.values)).mean() < 0.02


def test_one_device_alone_teaches_without_being_judged(history, rows):
    f = history.findings
    alone = replace(history, findings=f.where(f.device == 1), devices=history.devices[:2])
    plan = replace(PLAN, held_out=HeldOut.DEVICES)
    model = train_rows(rows.where(rows.device == 1), alone, plan).model
    assert np.isfinite(model.logits(rows.values[:50])).all()


def test_no_rows_make_no_forecasts(model, rows):
    assert model.predict(rows.values[:0]).cumulative.shape == (0, 2, 4)
