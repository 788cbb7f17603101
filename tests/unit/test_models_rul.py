"""Remaining life: what is read, what is told of devices not seen, and the laws it keeps."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from foremend.errors import InputError
from models import backtest_rul, laws
from models.backtest_rul import nasa
from models.rul import features
from models.rul.files import read_lives, read_truth
from models.rul.intervals import learn_band, weighted_quantiles
from models.rul.lives import Lives
from models.rul.model import RulModel, WrongPayload
from models.rul.training import NoLives, RulPlan, train
from stack.cli import app

PLAN = RulPlan(cap=60.0, bags=2, folds=3, seed=3)


def some_lives(seed: int, devices: int, *, cut: bool = False) -> tuple[Lives, np.ndarray]:
    """Devices whose two channels move over the last 60 cycles; a third stays, a fourth is noise.

    Gives the lives, and what is left of each after its last row.
    """
    rng = np.random.default_rng(seed)
    device, cycle, values, left = [], [], [], []
    for i in range(devices):
        life = int(rng.integers(80, 140))
        rest = int(rng.integers(1, 70)) if cut else 0
        t = np.arange(1, life - rest + 1)
        wear = np.maximum(0.0, 1.0 - (life - t) / 60.0) ** 1.5
        noise = rng.normal(0, 0.1, (len(t), 3))
        values.append(
            np.stack([wear, -wear, 0 * wear, 0 * wear], 1)
            + np.c_[noise[:, :2], 0 * t + 7, noise[:, 2]]
        )
        device.append(np.full(len(t), i))
        cycle.append(t)
        left.append(rest)
    lives = Lives(
        devices=tuple(f"u{i}" for i in range(devices)),
        channels=("heat", "lift", "same", "whir"),
        device=np.concatenate(device),
        cycle=np.concatenate(cycle).astype(float),
        values=np.concatenate(values),
    )
    return lives, np.array(left, dtype=float)


@pytest.fixture(scope="module")
def lives() -> Lives:
    return some_lives(1, 24)[0]


@pytest.fixture(scope="module")
def trained(lives):
    return train(lives, PLAN)


@pytest.fixture(scope="module")
def model(trained) -> RulModel:
    return trained.model


@pytest.fixture(scope="module")
def rows(model):
    return model.columns(some_lives(2, 3, cut=True)[0])[::40]


def test_devices_not_seen_are_told_better_than_by_their_age_and_intervals_hold(trained, lives):
    test, truth = some_lives(5, 80, cut=True)
    told = backtest_rul.told_by(trained, lives, test)
    figures = backtest_rul.figures(told, truth)
    assert figures["rmse"] < 0.5 * figures["mean_life_minus_age"]["rmse"]
    assert figures["coverage"]["high"] > 0.8 > figures["coverage"]["low"] - 0.1
    assert figures["width"] < 0.5 * PLAN.cap


def test_quantiles_are_in_order_and_within_the_cap(model):
    test, _ = some_lives(6, 10, cut=True)
    low, middle, high = model.predict(model.columns(test)).T
    assert ((low >= 0) & (low <= middle) & (middle <= high) & (high <= PLAN.cap)).all()


@pytest.mark.parametrize("law", laws.PREDICT_LAWS, ids=lambda law: law.__name__)
def test_it_keeps_the_laws_of_prediction(law, model, rows):
    law(model.predict, rows)


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others(rows):
    few, plan = some_lives(4, 10)[0], replace(PLAN, bags=1)
    one, again, other = (
        train(few, replace(plan, seed=seed)).model.predict(rows).tobytes() for seed in (3, 3, 4)
    )
    assert again == one
    assert other != one


def test_a_saved_model_is_the_model(model, rows):
    laws.saved_model_is_the_model(model.predict, lambda: RulModel.load(model.dumps()).predict, rows)


def test_bytes_of_something_else_are_no_model():
    buffer = io.BytesIO()
    joblib.dump({"not": "a model"}, buffer)
    with pytest.raises(WrongPayload):
        RulModel.load(buffer.getvalue())


def test_constant_channels_are_dropped(model):
    assert model.view.channels == ("heat", "lift", "whir")


def test_names_order_missing_and_new_channels_do_not_break_it(model):
    test, _ = some_lives(7, 4, cut=True)
    told = model.predict(model.columns(test)[test.last])
    more = replace(
        test,
        channels=("whir", "new", "lift", "same", "heat"),
        values=test.values[:, [3, 0, 1, 2, 0]],
    )
    assert model.predict(model.columns(more)[more.last]).tobytes() == told.tobytes()
    less = replace(test, channels=("heat",), values=test.values[:, :1])
    assert np.isfinite(model.predict(model.columns(less)[less.last])).all()


def test_a_row_depends_on_its_own_device_and_its_past_alone(model):
    test, _ = some_lives(8, 3, cut=True)
    gaps = test.values.copy()
    gaps[np.random.default_rng(0).random(gaps.shape) < 0.2] = np.nan
    test = replace(test, values=gaps)
    whole = model.columns(test)
    mine = (test.device == 1) & (test.cycle <= 30)
    alone = replace(test.where(mine), device=np.zeros(int(mine.sum()), np.int64), devices=("u1",))
    np.testing.assert_allclose(model.columns(alone), whole[mine], rtol=1e-9)


def test_too_few_complete_lives_are_abstained_on():
    few, _ = some_lives(1, 9)
    test, truth = some_lives(2, 3, cut=True)
    told = backtest_rul.tell(few, test, PLAN)
    assert np.isnan(told.quantiles).all()
    figures = backtest_rul.figures(told, truth)
    assert (figures["abstained"], figures["rmse"]) == (3, None)


def test_a_device_without_any_known_channel_is_abstained_on(trained, lives):
    test, _ = some_lives(2, 2, cut=True)
    blind = replace(test, values=np.where(test.device[:, None] == 0, np.nan, test.values))
    told = backtest_rul.told_by(trained, lives, blind)
    assert np.isnan(told.quantiles).all(axis=1).tolist() == [True, False]


def test_no_lives_teach_nothing(lives):
    with pytest.raises(NoLives):
        train(lives.where(np.zeros(len(lives), dtype=bool)), PLAN)


def test_lateness_costs_more_than_earliness():
    assert nasa(np.array([10.0])) == pytest.approx(np.e - 1)
    assert nasa(np.array([-13.0])) == pytest.approx(np.e - 1)


def test_a_slope_is_that_of_a_straight_line_once_the_window_is_long():
    line = 3.0 * np.arange(500.0)[:, None]
    assert features.slopes(line, 400)[-1, 0] == pytest.approx(3.0, rel=0.02)
    assert abs(features.slopes(np.ones((50, 1)), 15)).max() < 1e-9


@given(st.integers(20, 300))
def test_a_bound_is_the_order_statistic_that_split_conformal_asks_for(n):
    low, high = weighted_quantiles(np.arange(1.0, n + 1), np.ones(n), devices=n)
    assert high in (np.ceil(0.9 * (n + 1)), np.ceil(0.9 * (n + 1)) + 1)
    assert low in (np.ceil(n - 0.9 * (n + 1)), np.ceil(n - 0.9 * (n + 1)) + 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_intervals_hold_on_devices_whose_rows_miss_together(seed):
    """A device misses by one number in all its rows: rows alone would be far too sure."""
    rng = np.random.default_rng(seed)
    miss, device = rng.normal(0, 5, 400), np.repeat(np.arange(200), 5)
    told = np.full(1000, 60.0)
    band = learn_band(told, told + miss[:200][device], device, np.ones(1000), cap=125.0)
    low, _, high = band.around(np.full(200, 60.0), 125.0).T
    held = np.mean((low <= 60 + miss[200:]) & (60 + miss[200:] <= high))
    assert 0.65 < held < 0.95


CMAPSS = "1 1 0.1 5.0 \n1 2 0.2 5.0 \n2 1 0.3 5.0 \n"


def test_text_without_a_header_and_a_table_are_read_alike(tmp_path):
    (tmp_path / "plain.txt").write_text(CMAPSS)
    (tmp_path / "table.csv").write_text("x,cycle,y,unit\n0.2,2,5,1\n0.1,1,5,1\n0.3,1,5,2\n")
    one, other = read_lives(tmp_path / "plain.txt"), read_lives(tmp_path / "table.csv")
    assert one.devices == other.devices == ("1", "2")
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.cycle, other.cycle)
    assert one.remaining().tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 1 0.1\n1 2\n", "lives:2: 2 numbers where the first line holds 3"),
        ("1 1 0.1\n1 2 x\n", "lives:2: channel_001: 'x' is not a finite number"),
        ("1 1 0.1\n1 1 0.2\n", "lives:2: cycle: cycle 1 stands twice"),
        ("1\n2\n", "lives:1: holds 1 columns"),
        ("device,cycle\na,1\n", "has no channel"),
        ("device,cycle,x\na,,1\n", "lives:2: cycle: is missing"),
        ("device,x\na,1\n", "lives:1: cycle: no such column"),
        ("device,cycle,x\n", "holds no rows"),
    ],
)
def test_a_fault_is_told_with_its_file_line_and_field(tmp_path, text, told):
    (tmp_path / "lives").write_text(text)
    with pytest.raises(InputError, match=told):
        read_lives(tmp_path / "lives")


def test_the_truth_is_one_number_a_line_or_a_table(tmp_path):
    (tmp_path / "plain").write_text("112 \n98 \n")
    (tmp_path / "table").write_text("rul,device\n98,b\n112,a\n")
    for name in ("plain", "table"):
        assert read_truth(tmp_path / name, ("a", "b")).tolist() == [112.0, 98.0]
    with pytest.raises(InputError, match="2 lines where the test file holds 3"):
        read_truth(tmp_path / "plain", ("a", "b", "c"))
    with pytest.raises(InputError, match="nothing of device 'c'"):
        read_truth(tmp_path / "table", ("a", "c"))


def test_the_command_writes_quantiles_and_prints_figures(tmp_path, lives):
    test, truth = some_lives(2, 6, cut=True)
    for name, one in (("train", lives), ("test", test)):
        lines = np.c_[one.device + 1, one.cycle, one.values]
        np.savetxt(tmp_path / f"{name}.txt", lines, fmt="%.5g")
    np.savetxt(tmp_path / "truth.txt", truth, fmt="%g")
    words = [w for n in ("train", "test", "truth") for w in (f"--{n}", str(tmp_path / f"{n}.txt"))]
    out = tmp_path / "rul.csv"
    done = CliRunner().invoke(
        app, ["backtest", "rul", *words, "--cap", "60", "--bags", "1", "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["coverage"]["total"] == 6
    (tmp_path / "figures.json").write_text(done.stdout)
    words = [str(tmp_path / "page.html"), "--figures", str(tmp_path / "figures.json")]
    assert CliRunner().invoke(app, ["report", *words]).exit_code == 0
    assert (tmp_path / "page.html").read_text().count("<circle") == 6
    with out.open() as stream:
        told = list(csv.DictReader(stream))
    assert [row["device"] for row in told] == [str(i) for i in range(1, 7)]
    assert all(float(r["rul_p10"]) <= float(r["rul_p50"]) <= float(r["rul_p90"]) for r in told)


def thinned(lives: Lives, path, seed: int) -> None:
    """Write lives of devices that work at speeds of their own: metres are wear, cycles are not."""
    rng = np.random.default_rng(seed)
    rows = ["device,cycle,metres,heat,lift,whir"]
    for i, span in enumerate(lives.spans):
        last = span.stop - 1
        kept = range(last, span.start - 1, -int(rng.integers(1, 4)))
        for cycle, at in enumerate(reversed(kept), 1):
            heat, lift, _, whir = lives.values[at]
            metres = 1000.0 * lives.cycle[at]
            rows.append(f"{lives.devices[i]},{cycle},{metres},{heat},{lift},{whir}")
    path.write_text("\n".join(rows))


def test_life_is_told_in_a_unit_of_use_and_intervals_hold_on_devices_not_seen(tmp_path):
    (whole, _), (cut, left) = some_lives(11, 40), some_lives(12, 40, cut=True)
    thinned(whole, tmp_path / "train.csv", 1)
    thinned(cut, tmp_path / "test.csv", 2)
    lives, test = (read_lives(tmp_path / f"{n}.csv", "metres") for n in ("train", "test"))
    assert "cycle" not in lives.channels
    assert lives.usual_cap() == pytest.approx(600.0 * np.median(whole.cycle[whole.last]))
    plan = RulPlan(cap=lives.usual_cap(), bags=2, folds=3, seed=3)
    told = backtest_rul.figures(backtest_rul.tell(lives, test, plan), 1000.0 * left, "metres")
    assert told["unit"] == "metres"
    assert told["score"] is None
    assert told["rmse"] < 0.6 * told["mean_life_minus_age"]["rmse"]
    assert 0.65 <= told["coverage"]["value"] <= 0.97


def test_what_falls_is_no_measure_of_use(tmp_path):
    (tmp_path / "lives").write_text("device,cycle,hours,x\na,1,5,0\na,2,5,0\na,3,4,0\n")
    with pytest.raises(InputError, match="lives:4: hours: falls"):
        read_lives(tmp_path / "lives", "hours")
    with pytest.raises(InputError, match="lives:1: miles: no such column"):
        read_lives(tmp_path / "lives", "miles")


def test_the_command_tells_life_in_a_unit_of_use(tmp_path):
    thinned(some_lives(11, 12)[0], tmp_path / "train.csv", 1)
    thinned(some_lives(12, 3, cut=True)[0], tmp_path / "test.csv", 2)
    words = [w for n in ("train", "test") for w in (f"--{n}", str(tmp_path / f"{n}.csv"))]
    words += ["--usage", "metres", "--bags", "1"]
    done = CliRunner().invoke(app, ["backtest", "rul", *words])
    assert done.exit_code == 0, done.output
    assert "metres" in done.stdout.splitlines()[0]
    wrong = CliRunner().invoke(app, ["backtest", "rul", *words, "--cap", "-1"])
    assert wrong.exit_code == 2
