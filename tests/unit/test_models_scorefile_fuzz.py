"""However a recording is written and whatever it holds, each of its rows is scored."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from models.scorefile import FileRefused, Request, score_file

if TYPE_CHECKING:
    from collections.abc import Callable

START_S = 1_600_000_000
TIMES: dict[str, Callable[[int], str]] = {
    "seconds": str,
    "milliseconds": lambda s: str(1000 * s),
    "iso": lambda s: datetime.fromtimestamp(s, UTC).isoformat(),
    "plain": lambda s: datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    "german": lambda s: datetime.fromtimestamp(s, UTC).strftime("%d.%m.%Y %H:%M:%S"),
    "american": lambda s: datetime.fromtimestamp(s, UTC).strftime("%m/%d/%Y %I:%M:%S %p"),
}
STYLES = st.tuples(
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ",")]),
    st.sampled_from(sorted(TIMES)),
    st.sampled_from(["", "NaN", "null", "-"]),
    st.sampled_from(["\n", "\r\n"]),
)
NUMBERS = st.one_of(
    st.none(),
    st.just(7.0),
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.sampled_from([0.0, -0.0, 1e-12, 1e12, 5.0]),
)
STEPS = st.sampled_from([0, 1, 60, 60, 60, 61, 90_000, -3600])
RECORDINGS = st.lists(st.tuples(STEPS, NUMBERS, NUMBERS, NUMBERS), min_size=2, max_size=40)
Recording = list[tuple[int, float | None, float | None, float | None]]
Style = tuple[tuple[str, str], str, str, str]


def written(path: Path, recording: Recording, style: Style) -> None:
    (mark, decimal), time, missing, end = style
    lines, at = [mark.join(["when", "a", "b", "c"])], START_S
    for step, *numbers in recording:
        at += step
        cells = [missing if n is None else f"{n:.4f}".replace(".", decimal) for n in numbers]
        lines.append(mark.join([TIMES[time](at), *cells]))
    path.write_bytes(end.join([*lines, ""]).encode())


def scored(recording: Recording, style: Style) -> list[dict[str, str]]:
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "rows.csv", Path(folder) / "scores.csv"
        written(path, recording, style)
        score_file(Request(path=path, time="when", channels=("a", "b", "c")), out)
        with out.open(newline="") as source:
            return list(csv.DictReader(source))


@settings(deadline=None, max_examples=30)
@given(RECORDINGS, STYLES)
def test_every_row_is_answered_and_how_it_is_written_does_not_matter(
    recording: Recording, style: Style
) -> None:
    rows = scored(recording, style)
    assert len(rows) == len(recording)
    for row in rows:
        assert math.isfinite(float(row["score"]))
        assert row["anomalous"] in {"0", "1"}
        assert row["alarm"] in {"0", "1"}
        assert row["top_channel"] in {"", "a", "b", "c"}
    plain = scored(recording, ((",", "."), "seconds", "", "\n"))
    assert [r | {"ts": ""} for r in rows] == [r | {"ts": ""} for r in plain]


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_recording_are_refused_and_nothing_else(noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "rows.csv", Path(folder) / "scores.csv"
        path.write_bytes(b"when,a\n1,2.5\n2,2.5\n" + noise)
        try:
            rows = score_file(Request(path=path, time="when"), out).rows
        except FileRefused:
            rows = 0
        assert out.exists() == (rows >= 2)
