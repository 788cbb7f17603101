"""Reading a recorded fleet: what is taken in, and how each fault of a file is told."""

import numpy as np
import pytest

from foremend.errors import InputError
from models.azure import read_history

FILES = {
    "machines.csv": "machineID,model,age\n1,model3,18\n2,model4,7\n",
    "telemetry_hourly.csv": (
        "datetime,machineID,volt,rotate\n"
        "2015-01-01 06:00:00,1,170.5,440\n"
        "2015-01-01 07:00:00,1,,441\n"
        "2015-01-01 06:00:00,2,171,442\n"
        "2015-01-01 07:00:00,2,172,443\n"
    ),
    "errors.csv": "datetime,machineID,errorID\n2015-01-01 06:30:00,1,error1\n",
    "maintenance.csv": (
        "datetime,machineID,comp\n2014-06-01 06:00:00,1,comp2\n2015-01-01 07:00:00,1,comp1\n"
    ),
    "failures.csv": "datetime,machineID,failure\n2015-01-01 07:00:00,1,comp1\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_recording_is_read_with_its_columns_in_any_order(folder):
    swapped = "machineID,rotate,datetime,volt\n1,440,2015-01-01 06:00:00,170.5\n"
    (folder / "telemetry_hourly.csv").write_text(swapped)
    history = read_history(folder)
    assert history.spec.channels == ("rotate", "volt")
    assert history.frames.values.tolist() == [[440.0, 170.5]]


def test_a_failure_is_a_replacement_at_the_same_instant_and_is_taken_once(folder):
    history = read_history(folder)
    assert len(history.replacements) == 1
    assert len(history.failures) == 1
    assert history.failures.ts_ms[0] == history.replacements.ts_ms[0]


def test_parts_fitted_before_the_recording_are_installs(folder):
    history = read_history(folder)
    assert [history.spec.components[k] for k in history.installs.what] == ["comp2"]


def test_an_empty_cell_is_a_missing_reading(folder):
    history = read_history(folder)
    volt = history.spec.channels.index("volt")
    assert np.isnan(history.frames.values[:, volt]).sum() == 1


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("telemetry_hourly.csv", "datetime,volt\n", "telemetry_hourly.csv:1: machineID"),
        (
            "telemetry_hourly.csv",
            "datetime,machineID,volt\n2015-01-01 06:00:00,1,high\n",
            "telemetry_hourly.csv:2: volt: 'high'",
        ),
        (
            "telemetry_hourly.csv",
            "datetime,machineID,volt\n2015-01-01 06:00:00,1,inf\n",
            "telemetry_hourly.csv:2: volt",
        ),
        (
            "telemetry_hourly.csv",
            "datetime,machineID,volt\n2015-01-01 07:00:00,1,1\n2015-01-01 06:00:00,1,1\n",
            "telemetry_hourly.csv:3: datetime: goes back in time",
        ),
        ("errors.csv", "datetime,machineID,errorID\nyesterday,1,e\n", "errors.csv:2: datetime"),
        (
            "failures.csv",
            "datetime,machineID,failure\n2015-01-01 07:00:00,9,comp1\n",
            "failures.csv:2: machineID: '9'",
        ),
        ("maintenance.csv", "datetime,machineID\n", "maintenance.csv:1: comp"),
        ("errors.csv", "datetime,machineID,errorID\n2015-01-01 07:00:00,1\n", "errors.csv:2"),
    ],
)
def test_each_fault_of_a_file_names_file_line_and_field(folder, name, text, told):
    (folder / name).write_text(text)
    with pytest.raises(InputError) as error:
        read_history(folder)
    assert told in str(error.value)


def test_a_missing_file_is_named(folder):
    (folder / "errors.csv").unlink()
    with pytest.raises(InputError, match=r"errors\.csv"):
        read_history(folder)
