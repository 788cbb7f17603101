"""Recorded files are read as they are found, and complaints say where."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models.scorefile import FileRefused, opened
from models.scorefile.layout import number_reader, separator
from models.scorefile.times import time_reader


def ms(*moment: int) -> int:
    year, month, day, *clock = moment
    return round(datetime(year, month, day, *clock, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2014-04-01 00:05:00", "2014-04-01 00:10:00"], ms(2014, 4, 1, 0, 5)),
        (["2014-04-01T00:05:00Z", "2014-04-01T00:10:00Z"], ms(2014, 4, 1, 0, 5)),
        (["2014-04-01T02:05:00.250+02:00"], ms(2014, 4, 1, 0, 5) + 250),
        (["2014-04-01"], ms(2014, 4, 1)),
        (["1396310700", "1396311000.5"], ms(2014, 4, 1, 0, 5)),
        (["1396310700000"], ms(2014, 4, 1, 0, 5)),
        (["1396310700000000"], ms(2014, 4, 1, 0, 5)),
        (["1396310700000000000"], ms(2014, 4, 1, 0, 5)),
        (["20140401", "20140402"], ms(2014, 4, 1)),
        (["20140401000500"], ms(2014, 4, 1, 0, 5)),
        (["0", "1", "2.5"], 0),
        (["01.04.2014 00:05", "01.04.2014 00:10"], ms(2014, 4, 1, 0, 5)),
        (["4/1/2014 0:05", "4/1/2014 0:10"], ms(2014, 4, 1, 0, 5)),
        (["1/4/2014 23:55", "2/4/2014 0:00", "3/4/2014 0:05"], ms(2014, 4, 1, 23, 55)),
        (["13/4/2014 23:55"], ms(2014, 4, 13, 23, 55)),
        (["4/1/2014 12:05:00 AM", "4/1/2014 1:05:00 PM"], ms(2014, 4, 1, 0, 5)),
        (["2014/04/01 00:05:00.5"], ms(2014, 4, 1, 0, 5) + 500),
        (["01-Apr-2014 00:05:00"], ms(2014, 4, 1, 0, 5)),
        (["01.04.14 00:05"], ms(2014, 4, 1, 0, 5)),
    ],
)
def test_forms_of_time_are_recognised(texts: list[str], first: int) -> None:
    read = time_reader(texts)
    assert read is not None
    assert read(texts[0]) == first


@pytest.mark.parametrize("texts", [["soon"], ["2014-04-01", "yesterday"], ["31.02.2014"]])
def test_what_is_no_time_is_not_read_as_one(texts: list[str]) -> None:
    assert time_reader(texts) is None


@pytest.mark.parametrize(
    ("sample", "mark", "text", "value"),
    [
        (["1.5", "2"], ",", "2.25", 2.25),
        (["1,5", "2"], ";", "2,25", 2.25),
        (["1.234,5", "2,5"], ";", "1.234.567,25", 1234567.25),
        (["1", "2"], ";", "2,25", 2.25),
        (["1", "2"], ";", "2.25", 2.25),
        (["1.5", "NaN", ""], ";", "NA", np.nan),
        (["1e3", "-2.5E-3"], ",", "-2.5E-3", -0.0025),
    ],
)
def test_decimal_marks_are_recognised(
    sample: list[str], mark: str, text: str, value: float
) -> None:
    assert number_reader(sample, mark)(text) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_are_recognised_by_the_time_column(mark: str) -> None:
    assert separator(mark.join(["when", "heat", "flow"]), "when") == mark
    assert separator(mark.join(["when", "heat", "flow"]), "where") is None


def a_file(folder: Path, text: str) -> Path:
    path = folder / "history.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_columns_of_numbers_are_the_channels(tmp_path: Path) -> None:
    path = a_file(
        tmp_path, "\ufeffheat;when;state;flow\r\n1,5;01.02.2020;on;\r\n;02.02.2020;;3\r\n"
    )
    with opened(path, "when") as recording:
        assert recording.channels == ("heat", "flow")
        assert recording.left_out == ("state",)
        rows = list(recording.rows())
    assert [row.ts_ms for row in rows] == [ms(2020, 2, 1), ms(2020, 2, 2)]
    assert np.array([row.values for row in rows]) == pytest.approx(
        np.array([[1.5, np.nan], [np.nan, 3.0]]), nan_ok=True
    )


def test_asked_channels_may_be_silent(tmp_path: Path) -> None:
    path = a_file(tmp_path, "when,heat,flow\n1,2,\n2,3,\n")
    with opened(path, "when", ("flow", "heat")) as recording:
        assert [row.values[1] for row in recording.rows()] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: there is no column 'when'"),
        ("ts,heat\n1,2\n", "line 1: there is no column 'when'"),
        ("when,heat,heat\n1,2,3\n", "line 1: column 'heat' stands there twice"),
        ("when,state\n1,on\n", "no column besides the time holds numbers"),
        ("when,heat\n2020-01-01,1\nlater,2\n", "line 3, column 'when': 'later' is not a time"),
        ("when,heat\n1,2\n2,3,4\n", "line 3: 3 fields where the header has 2"),
    ],
)
def test_complaints_name_file_line_and_column(tmp_path: Path, text: str, complaint: str) -> None:
    path = a_file(tmp_path, text)
    with pytest.raises(FileRefused) as refused, opened(path, "when") as recording:
        list(recording.rows())
    assert str(path) in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(("bad", "column"), [("x1,1.5", "when"), ("9999,1.5x", "heat")])
def test_a_late_fault_is_named_too(tmp_path: Path, bad: str, column: str) -> None:
    good = "".join(f"{i},{i / 2}\n" for i in range(600))
    path = a_file(tmp_path, f"when,heat\n{good}{bad}\n")
    with (
        pytest.raises(FileRefused, match=f"line 602, column '{column}'"),
        opened(path, "when", ("heat",)) as recording,
    ):
        list(recording.rows())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FileRefused, match=r"nowhere\.csv"),
        opened(tmp_path / "nowhere.csv", "when"),
    ):
        pass
