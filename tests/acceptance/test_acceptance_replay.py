"""`foremend replay azure-pdm` as anybody runs it, on a small recording made for the test."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foremend.errors import InputError
from models.azure import read_history
from tests.acceptance import recorded_fleet

pytestmark = pytest.mark.timeout(400)
PROJECT = Path(__file__).parents[2]
SAMPLE = Path(os.environ.get("FOREMEND_AZURE_PDM", PROJECT.parent / "shared/data/azure_pdm"))
ASKED = {
    "work_orders", "precision", "event_recall", "median_lead_h", "wrong_components",
    "false_per_100_machine_weeks", "duplicate_orders", "frames_sent", "frames_stored",
    "frames_lost", "seconds", "error_code_lookup", "telemetry_alone",
}  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    recorded_fleet.write(folder)
    return folder


def replay(data: Path, tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "stack", "replay", "azure-pdm", "--data", str(data))
    where = ("--data-dir", str(tmp_path / "var"), "--json")
    return subprocess.run(
        (*command, *where, *argv), cwd=PROJECT, capture_output=True, text=True, check=False
    )


def test_a_recording_goes_over_the_wire_and_its_orders_are_judged(recording, tmp_path) -> None:
    out = tmp_path / "orders.csv"
    ended = replay(recording, tmp_path, "--train-until", "2015-01-27", "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told.keys() >= ASKED
    frames = recorded_fleet.MACHINES * recorded_fleet.HOURS
    assert (told["frames_sent"], told["frames_stored"], told["frames_lost"]) == (frames, frames, 0)
    assert told["duplicate_orders"] == 0
    for name in ("precision", "event_recall"):
        share = told[name]
        assert share["value"] == share["hits"] / share["total"]
        assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1
    assert told["event_recall"]["value"] >= 0.5, "these failures announce themselves plainly"
    assert told["precision"]["value"] >= 0.5
    assert told["median_lead_h"] > 0

    with out.open(newline="") as stream:
        orders = list(csv.DictReader(stream))
    assert orders[0].keys() == {"device", "component", "opened", "probability", "top_reasons"}
    assert len(orders) >= told["work_orders"] > 0
    assert all(0 < float(order["probability"]) <= 1 for order in orders)
    assert max(Counter((o["device"], o["component"], o["opened"]) for o in orders).values()) == 1


def broken(recording: Path, tmp_path: Path, name: str, change) -> Path:
    """Copy the recording with one file changed line by line; lines count from 1."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in recording.glob("*.csv"):
        lines = file.read_text().splitlines()
        told = change(lines) if file.name == name else lines
        (folder / file.name).write_text("\n".join(told) + "\n")
    return folder


def without_a_column(lines: list[str]) -> list[str]:
    return [line.rsplit(",", 1)[0] for line in lines]


def with_times_that_go_back(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def with_a_bad_number(lines: list[str]) -> list[str]:
    time, machine, volt, _, *others = lines[4].split(",")
    return [*lines[:4], ",".join([time, machine, volt, "n/a", *others]), *lines[5:]]


def with_an_unknown_machine(lines: list[str]) -> list[str]:
    time, _, what = lines[1].split(",")
    return [lines[0], f"{time},99,{what}", *lines[2:]]


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("errors.csv", without_a_column, "errors.csv:1: errorID: no such column"),
        (
            "telemetry_hourly.csv",
            with_times_that_go_back,
            "telemetry_hourly.csv:4: datetime: goes back in time",
        ),
        (
            "telemetry_hourly.csv",
            with_a_bad_number,
            "telemetry_hourly.csv:5: rotate: 'n/a' is not a finite number",
        ),
        (
            "maintenance.csv",
            with_an_unknown_machine,
            "maintenance.csv:2: machineID: '99' is not in machines.csv",
        ),
    ],
)
def test_a_faulty_file_is_named_with_its_line(recording, tmp_path, name, change, complaint) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        read_history(broken(recording, tmp_path, name, change))


def test_a_folder_without_the_files_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"machines\.csv: cannot be read"):
        read_history(tmp_path)


def test_a_faulty_recording_ends_the_command_before_anything_is_started(
    recording, tmp_path
) -> None:
    faulty = broken(recording, tmp_path, "maintenance.csv", with_an_unknown_machine)
    ended = replay(faulty, tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("foremend: ")
    assert line.endswith("maintenance.csv:2: machineID: '99' is not in machines.csv")
    assert not (tmp_path / "var").exists()


@pytest.mark.skipif(
    not (SAMPLE / "telemetry_hourly.csv").is_file(),
    reason=f"the recorded fleet is not at {SAMPLE}; FOREMEND_AZURE_PDM may name its folder",
)
def test_the_recorded_sample_is_read_whole() -> None:
    history = read_history(SAMPLE)
    assert len(history.devices) == 20
    assert history.spec.channels == ("pressure", "rotate", "vibration", "volt")
    assert len(history.spec.components) == 4
    assert len(history.spec.codes) == 5
    assert len(history.frames.ts_ms) > 40_000
    assert (np.diff(history.frames.ts_ms) >= 0).all()
    assert np.isfinite(history.frames.values).all()
    assert len(history.failures) > 30
