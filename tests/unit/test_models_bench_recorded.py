"""The benchmarks' scores are what their definitions say."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.bench import nab, recorded, rivals, skab

FILE = nab.Labelled(category="real", rows=1000, spans=((300, 399), (800, 899)))


def test_silence_is_nought_and_perfection_a_hundred() -> None:
    assert nab.normalised(nab.raw_score(FILE, []), 2) == 0.0
    assert nab.normalised(nab.raw_score(FILE, [300, 800]), 2) == pytest.approx(100.0)


def test_a_detection_is_worth_less_the_later_it_comes() -> None:
    worth = [nab.raw_score(FILE, [row]) for row in (300, 350, 380, 399)]
    assert worth == sorted(worth, reverse=True)
    assert worth[0] == pytest.approx(0.0)
    # Half-way: (2 / (1 + exp(-5 * 50 / 100)) - 1) / (2 / (1 + exp(-5)) - 1), and one miss.
    assert worth[1] == pytest.approx(0.84828 / 0.98661 - 1.0, abs=1e-4)
    # The last row is position -1 / 100, which is worth a little still.
    assert worth[3] == pytest.approx(0.02499 / 0.98661 - 1.0, abs=1e-4)


def test_only_the_first_detection_in_a_window_counts() -> None:
    assert nab.raw_score(FILE, [310, 320, 399]) == nab.raw_score(FILE, [310])


def test_false_detections_cost_more_the_further_behind_a_window_they_are() -> None:
    cost = [nab.raw_score(FILE, [row]) - nab.raw_score(FILE, []) for row in (400, 450, 498, 700)]
    assert cost == sorted(cost, reverse=True)
    assert cost[2] == pytest.approx(-0.11 * 0.98661, abs=1e-4)
    assert cost[3] == pytest.approx(-0.11)
    assert nab.raw_score(FILE, [200]) - nab.raw_score(FILE, []) == pytest.approx(-0.11)


def test_what_is_said_while_learning_is_not_judged() -> None:
    assert FILE.probation == 150
    assert nab.raw_score(FILE, [10, 149]) == nab.raw_score(FILE, [])
    assert nab.Labelled(category="a", rows=20_000, spans=()).probation == 750
    early = nab.Labelled(category="a", rows=1000, spans=((10, 90), (100, 200)))
    assert early.judged == ((100, 200),)
    assert nab.raw_score(early, [20]) == -1.0


def test_detections_rest_after_each_other() -> None:
    score = np.array([0, 5, 5, 0, 5, 5.0])
    assert nab.detections(score, 5.0, refractory=3).tolist() == [1, 4]
    assert nab.detections(score, 5.0, refractory=1).tolist() == [1, 2, 4, 5]


def test_a_threshold_is_never_chosen_on_what_it_judges() -> None:
    files = {
        f"{category}/{i}": nab.Labelled(category=category, rows=1000, spans=((400, 499),))
        for category in ("a", "b")
        for i in range(2)
    }
    rng = np.random.default_rng(5)
    scores = {name: rng.exponential(size=1000) for name in files}
    for i in range(2):
        scores[f"a/{i}"] += 8.0 * (np.arange(1000) % 150 == 149)
        scores[f"a/{i}"][400], scores[f"b/{i}"][400] = 30.0, 3.0
    found = nab.transferred(files, scores, refractory=10)
    assert found.per_category["b"] < 10.0
    assert found.score < found.chosen_on_all


def test_windows_must_begin_and_end_on_rows() -> None:
    times = np.arange(10) * 60_000
    assert nab.spans_of(times, [(60_000, 180_000)]) == ((1, 3),)
    with pytest.raises(ValueError, match="no row"):
        nab.spans_of(times, [(60_001, 180_000)])
    with pytest.raises(ValueError, match="overlap"):
        nab.spans_of(times, [(60_000, 180_000), (120_000, 240_000)])


def test_the_windowed_gaussian_looks_back_on_a_window() -> None:
    values = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 9.0, 1.0])
    off = rivals.windowed_gaussian(values, window=4)
    assert off[0] == 0.0
    assert off[5] == pytest.approx(abs(9.0 - np.mean(values[1:5])) / np.std(values[1:5]))


def test_half_space_trees_answer_for_every_value() -> None:
    values = np.r_[np.tile([1.0, 2.0], 300), 50.0]
    assert np.isfinite(rivals.half_space_trees(values)).all()


def test_rows_are_judged_one_by_one() -> None:
    truth = np.array([False] * 6 + [True] * 4)
    told = np.array([True, *[False] * 6, True, True, True])
    found = skab.judged(told, truth)
    assert found.f1 == pytest.approx(6 / 8)
    assert found.false_alarm_percent == pytest.approx(100 / 6)
    assert found.missed_percent == pytest.approx(25.0)
    assert found.f1_of_all_ones == pytest.approx(8 / 14)


def test_a_folder_of_recordings_is_judged(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    windows = {}
    for category in ("one", "two"):
        name = f"{category}/a.csv"
        path = tmp_path / "nab" / "data" / name
        path.parent.mkdir(parents=True)
        values = 20 + rng.normal(size=600)
        values[400:] += 8
        stamps = [
            f"2014-04-{1 + i // 288:02} {i % 288 // 12:02}:{i % 12 * 5:02}:00" for i in range(600)
        ]
        rows = [f"{stamp},{value}" for stamp, value in zip(stamps, values, strict=True)]
        path.write_text("\n".join(["timestamp,value", *rows]))
        windows[name] = [[f"{stamps[380]}.000000", f"{stamps[440]}.000000"]]
    labels = tmp_path / "nab" / "labels"
    labels.mkdir()
    (labels / "combined_windows.json").write_text(json.dumps(windows))
    found = recorded(tmp_path)
    skipped = {name for name, told in found.items() if "skipped" in told}
    assert skipped == {"skab_valve1", "azure_pdm", "cmapss_fd001", "ai4i"}
    assert "azure_pdm/telemetry_*.csv" in found["azure_pdm"]["skipped"]
    assert found["nab"]["windows"] == 2
    assert found["nab"]["foremend"]["score"] > 60
    assert found["nab"]["foremend_alarms_by_budget"]["alarms"] >= 2
