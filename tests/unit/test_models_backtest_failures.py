"""A backtest of failures on a small recorded fleet whose faults are plain."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from models import backtest_failures, backtest_figures, reliability
from models.backtest_failures import NothingToJudge, Task, UnknownDevices, WrongDates
from models.evidence import Sighted, keeps_rhythm
from models.labels import Outcomes
from models.tables.fleet import FleetFiles, read_fleet
from models.tables.times import instant_ms
from models.training import TooFewFailures
from stack.cli import app

H = 3_600_000
DAYS, DEVICES = 90, 10
BEGIN = instant_ms("2020-03-01 06:00:00")
CUT = instant_ms("2020-05-01")


def a_day(n: int) -> str:
    return str(np.datetime64(BEGIN, "ms") + np.timedelta64(24 * n, "h")).replace("T", " ")[:19]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> FleetFiles:
    """A part fails a day after its channel and its code have told; codes come by themselves too."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(DAYS, DEVICES, 2)) + 50 + rng.normal(0, 5, (DEVICES, 2))
    errors, failed = [], []
    for device in range(DEVICES):
        for at in np.arange(rng.integers(8, 20), DAYS, 15 + device % 4):
            part = int(rng.integers(0, 2))
            values[at - 1 : at + 1, device, part] += 7.0
            errors.append((a_day(at - 1), f"d{device}", f"E{part}"))
            failed.append((a_day(at), f"d{device}", f"part{part}"))
        noise = rng.integers(0, DAYS, 6)
        errors += [(a_day(t), f"d{device}", f"E{i % 2}") for i, t in enumerate(noise)]
    rows = [
        (a_day(t), f"d{d}", *values[t, d].round(3)) for t in range(DAYS) for d in range(DEVICES)
    ]
    tables = {
        "telemetry": [("ts", "device", "volt", "heat"), *rows],
        "errors": [("ts", "device", "code"), *errors],
        "maintenance": [("ts", "device", "component"), *failed],
        "failures": [("ts", "device", "component"), *failed],
        "machines": [("device", "age"), *((f"d{d}", d) for d in range(DEVICES))],
    }
    folder = tmp_path_factory.mktemp("fleet")
    for name, lines in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(lines)
    return FleetFiles(**{name: folder / f"{name}.csv" for name in tables})


@pytest.fixture(scope="module")
def fleet(files):
    return read_fleet(files, longest_step_ms=24 * H)


@pytest.fixture(scope="module")
def told(fleet):
    return backtest_failures.tell(fleet, Task(train_until_ms=CUT, judge_from_ms=CUT))


@pytest.fixture(scope="module")
def figures(told):
    return backtest_figures.figures(told)


def test_plain_faults_are_foreseen_a_day_ahead_and_nothing_else(figures):
    assert figures["event_recall"]["value"] >= 0.9
    assert figures["precision"]["value"] >= 0.9
    assert figures["median_lead_h"] == 24
    assert figures["wrong_components"] == 0


def test_beside_it_stand_simpler_methods_and_they_are_worse(figures):
    for name in ("error_code_lookup", "telemetry_alone"):
        assert figures[name]["failures"] == figures["failures"]
    lookup = figures["error_code_lookup"]
    assert lookup["precision"]["value"] < figures["precision"]["value"]


def test_probabilities_are_held_against_what_happened(figures):
    told = figures["calibration"]
    assert told["brier"] < 0.2 * told["brier_of_base_rate"]
    assert sum(each["failed"]["total"] for each in told["reliability"]) == told["rows"]


def test_no_order_uses_what_came_after_it_and_the_same_seed_gives_the_same_orders(fleet, told):
    """The recording is cut after an order: all until then stands as it stood."""
    cut = sorted(o.opened_ms for o in told.orders)[len(told.orders) // 2]
    short = replace(fleet, history=fleet.history.known_at(cut))
    again = backtest_failures.tell(short, told.task)
    assert list(again.orders) == [o for o in told.orders if o.opened_ms <= cut]
    before = told.probability[told.rows.ts_ms <= cut]
    assert np.isfinite(before).all()
    assert again.probability.tobytes() == before.tobytes()


def test_devices_that_are_judged_teach_nothing(fleet, told):
    judged = frozenset(("d0", "d1", "d2"))
    apart = backtest_failures.tell(fleet, replace(told.task, judged=judged))
    assert {o.device for o in apart.orders} <= judged
    taught = fleet.history.failures.device >= len(judged)
    before = fleet.instant(0) + fleet.history.failures.ts_ms < CUT
    assert sum(apart.trained.failures.values()) <= int((taught & before).sum())
    assert backtest_figures.figures(apart)["event_recall"]["value"] >= 0.8


def test_what_was_foreseen_when_judging_begins_is_ordered_then(fleet, told):
    """Midnight lies between two steps of a fleet that is told at six."""
    failures = fleet.history.failures
    soon = failures.ts_ms[failures.ts_ms > fleet.clock(CUT)].min()
    begin = fleet.instant(int(soon)) - 6 * H
    task = Task(train_until_ms=CUT, judge_from_ms=begin)
    orders = backtest_failures.tell(fleet, task).orders
    assert fleet.clock(begin) in {o.opened_ms for o in orders}


def test_an_order_after_the_last_thing_recorded_is_left_out(fleet, told):
    last = max(fleet.history.events.ts_ms.max(), fleet.history.replacements.ts_ms.max())
    assert told.until_ms == last


def test_a_task_that_does_not_fit_is_refused(fleet):
    late = fleet.instant(fleet.history.until_ms) + 48 * H
    with pytest.raises(WrongDates):
        backtest_failures.tell(fleet, Task(train_until_ms=CUT, judge_from_ms=CUT - 1))
    nobody = Task(train_until_ms=CUT, judge_from_ms=CUT, judged=frozenset(("nobody",)))
    with pytest.raises(UnknownDevices, match="nobody"):
        backtest_failures.tell(fleet, nobody)
    with pytest.raises(NothingToJudge):
        backtest_failures.tell(fleet, Task(train_until_ms=CUT, judge_from_ms=late))
    with pytest.raises(TooFewFailures):
        backtest_failures.tell(fleet, Task(train_until_ms=BEGIN + 1, judge_from_ms=CUT))


def test_a_part_replaced_within_the_horizon_tells_nothing_of_calibration():
    result = Outcomes(
        hours=np.array([[5.0], [5.0], [48.0]]),
        failed=np.array([[True], [False], [False]]),
        episode=np.array([[0], [-1], [-1]]),
        watched_h=np.full(3, 100.0),
    )
    told = reliability.figures(np.array([[0.9], [0.9], [0.1]]), result, 24.0)
    assert told["rows"] == 2
    assert told["brier"] == pytest.approx(0.01)


def test_the_command_writes_orders_and_prints_figures(files, figures, tmp_path):
    paths = [
        word
        for name in ("telemetry", "errors", "maintenance", "failures", "machines")
        for word in (f"--{name}", str(getattr(files, name)))
    ]
    dates = ["--train-until", "2020-05-01", "--judge-from", "2020-05-01"]
    out = tmp_path / "orders.csv"
    done = CliRunner().invoke(
        app, ["backtest", "failures", *paths, *dates, "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout.splitlines()[-1])
    assert {name: printed[name] for name in figures} == json.loads(json.dumps(figures))
    assert sum(each["failures"] for each in printed["leads"]) == figures["foreseen"]
    (tmp_path / "figures.json").write_text(done.stdout)
    words = [str(tmp_path / "page.html"), "--figures", str(tmp_path / "figures.json")]
    assert CliRunner().invoke(app, ["report", *words]).exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") >= 3
    assert not any(word in page for word in ("<script", "http:", "https:", "src="))
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["device", "component", "opened", "probability", "top_reasons"]
    assert all(row["opened"].endswith(("06:00:00", "00:00:00")) for row in rows)
    assert "error_code:E" in rows[0]["top_reasons"]


def sighted(since_visit: np.ndarray) -> Sighted:
    """Rows of which only the age of their one part is told."""
    none = np.zeros((len(since_visit), 0))
    return Sighted(
        z=none,
        heard=none.astype(bool),
        hours_since=none,
        age_h=since_visit[:, None].astype(float),
        device=none,
        reach_h=np.zeros(0),
    )


def test_failures_that_keep_to_the_rhythm_of_visits_are_told_from_those_at_any_time():
    rng = np.random.default_rng(0)
    days = np.tile(np.arange(15.0), 60)
    kept = days == 14
    anyhow = rng.random(len(days)) < 1 / 15
    for failed, rhythm in ((kept, True), (anyhow, False)):
        result = Outcomes(
            hours=np.where(failed, 24.0, 500.0)[:, None],
            failed=failed[:, None],
            episode=np.where(failed, np.cumsum(failed), -1)[:, None],
            watched_h=np.full(len(days), 1000.0),
        )
        assert keeps_rhythm(sighted(24.0 * days), result) is rhythm
