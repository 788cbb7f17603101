"""A recorded file is scored causally, row for row."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.scorefile import FileRefused, Request, score_file
from models.scorefile.scoring import BLOCK, HEADER
from models.scorefile.watch import Watch

START_S = 1_600_000_000


def history(rows: int, fault_from: int, seed: int = 3) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    values = np.array([200.0, 5.0, 0.3]) + np.array([1.0, 0.2, 0.01]) * rng.normal(size=(rows, 3))
    values[fault_from:, 1] += 1.2
    return values


def written(
    path: Path, values: NDArray[np.float64], mark: str = ",", decimal: str = ".", step_s: int = 60
) -> Path:
    lines = [mark.join(["when", "heat", "flow", "shake"])]
    for i, row in enumerate(values):
        numbers = ["" if np.isnan(v) else f"{v:.6f}".replace(".", decimal) for v in row]
        lines.append(mark.join([str(START_S + step_s * i), *numbers]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def scored(path: Path, **options: object) -> list[dict[str, str]]:
    out = path.with_suffix(".scores")
    score_file(Request(path=path, time="when", **options), out)  # type: ignore[arg-type]
    with out.open(newline="") as source:
        return list(csv.DictReader(source))


def test_a_fault_is_found_and_its_channel_named(tmp_path: Path) -> None:
    rows = scored(written(tmp_path / "a.csv", history(700, 600)))
    assert len(rows) == 700
    assert tuple(rows[0]) == HEADER
    assert rows[5]["ts"] == str(START_S + 300)
    alarms = [i for i, row in enumerate(rows) if row["alarm"] == "1"]
    assert len([i for i in alarms if 600 <= i < 640]) == 1
    assert len(alarms) <= 2
    assert rows[-1]["anomalous"] == "1"
    assert rows[-1]["top_channel"] == "flow"


def test_the_future_does_not_change_the_past(tmp_path: Path) -> None:
    values = history(BLOCK + 100, 400)
    whole = scored(written(tmp_path / "whole.csv", values))
    part = scored(written(tmp_path / "part.csv", values[: BLOCK - 7]))
    assert part == whole[: BLOCK - 7]


def test_writing_style_does_not_matter(tmp_path: Path) -> None:
    values = history(200, 150)
    plain = scored(written(tmp_path / "plain.csv", values))
    assert scored(written(tmp_path / "comma.csv", values, mark=";", decimal=",")) == plain


def test_the_warm_up_is_taken_to_be_healthy(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", history(500, 300))
    assert any(row["anomalous"] == "1" for row in scored(path)[300:400])
    assured = scored(path, warm_up=400)
    assert all(row["anomalous"] == row["alarm"] == "0" for row in assured[:400])
    assert any(float(row["score"]) > 0 for row in assured[:400])


def test_gaps_and_silent_and_constant_channels_survive(tmp_path: Path) -> None:
    values = history(400, 400)
    values[:, 2] = 7.0
    values[100:200, 0] = np.nan
    values[250:260] = np.nan
    rows = scored(written(tmp_path / "a.csv", values))
    assert len(rows) == 400
    assert all(np.isfinite(float(row["score"])) for row in rows)
    assert sum(row["alarm"] == "1" for row in rows) <= 1


def test_a_channel_that_never_speaks_may_be_asked_for(tmp_path: Path) -> None:
    values = history(100, 100)
    values[:, 1] = np.nan
    rows = scored(written(tmp_path / "a.csv", values), channels=("flow", "heat"))
    assert {row["top_channel"] for row in rows} <= {"", "heat"}


def test_a_refused_file_leaves_no_output(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", history(30, 30))
    path.write_text(path.read_text() + "1600001800,1,2,x\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="line 32, column 'shake'"):
        scored(path, channels=("heat", "shake"))
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("unit", [1e-11, 1e11])
def test_units_and_the_order_of_channels_do_not_matter(unit: float) -> None:
    values = history(450, 400)
    ts_ms = 1000 * np.arange(START_S, START_S + 60 * 450, 60)
    healthy = np.zeros(450, np.bool_)
    plain = Watch(("heat", "flow", "shake"), 1.0).judge(ts_ms, values, healthy)
    turned = Watch(("shake", "heat", "flow"), 1.0).judge(
        ts_ms - 10**12, unit * values[:, [2, 0, 1]], healthy
    )
    assert np.array_equal(plain.alarm, turned.alarm)
    assert turned.score == pytest.approx(plain.score, rel=0.05, abs=0.05)
    assert (turned.top_channel[420:] == 2).mean() > 0.9
