"""Exports: both formats say the same, all of it, and in flat memory."""

from __future__ import annotations

import io
import tracemalloc
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from api import export
from api.export import Format, columns_of
from foremend.db import connect
from foremend.errors import NotFound
from ingest.upkeep.store import RollupStore
from stack.keeping.exporting import Wanted
from stack.keeping.exporting import export as to_file
from tests.api_server import Site, running
from tests.kept_log import START, KeptLog, Reading, at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 120_000
WIDE = (
    {"name": "power", "unit": "1"},
    {"name": "temp", "unit": "Cel"},
    {"name": "fan", "unit": "/min"},
)


@pytest.fixture(scope="module")
def url(new_migrated) -> str:
    """One device whose schema grows, one with a long history, and another tenant's."""
    url = new_migrated().app
    with connect(url, name="test") as link:
        log = KeptLog(connection=link)
        one = log.device("printer-01")
        wide = log.schema(WIDE)
        log.commit(
            [Reading(device=one, at=at(i), seq=i, values=(20.5 + i, None)) for i in range(5)]
        )
        log.commit(
            [
                Reading(
                    device=one,
                    at=at(7200 + i),
                    seq=9 + i,
                    values=(0.25, 21.0, i),
                    schema=wide,
                    phase=9,
                )
                for i in range(5)
            ]
        )
        RollupStore(link).roll()
        long = log.device("printer-02")
        log.run(
            "INSERT INTO frame SELECT %s, %s::timestamptz + i * interval '1 s', %s, i, 1, 3, 0, 99,"
            " ARRAY[i * 0.1, sin(i)] FROM generate_series(0, %s) AS i", long, START, long, LONG - 1,
        )  # fmt: skip
        log.device("printer-03")
        log.run(
            "INSERT INTO device (tenant, timeline, name, partition)"
            " VALUES ('other', 'sim:test', 'theirs', 1)"
        )
    return url


@pytest.fixture(scope="module")
def site(url: str) -> Iterator[Site]:
    with running(url) as console:
        yield console


def wanted(device: str = "printer-01", form: Format = Format.CSV, **changes: Any) -> Wanted:
    told = {"tenant": "demo", "device": device, "timeline": None, "since": None, "until": None}
    return Wanted(**(told | changes), form=form)


def silent(line: str) -> None:
    assert line


def exported(url: str, folder: Path, device: str, form: Format, **changes: Any) -> pa.Table:
    file = folder / f"{device}.{form.value}"
    assert to_file(url, wanted(device, form, **changes), file, silent) == file.stat().st_size
    return parquet.read_table(file) if form is Format.PARQUET else read_csv(file.read_bytes())


def read_csv(text: bytes) -> pa.Table:
    types = {
        "time": pa.timestamp("ms", tz="UTC"),
        "fan [/min]": pa.float64(),
        "power [1]": pa.float64(),
    }
    return csv.read_csv(io.BytesIO(text), convert_options=csv.ConvertOptions(column_types=types))


@pytest.mark.parametrize("device", ["printer-01", "printer-02"])
def test_both_formats_say_the_same(url: str, tmp_path: Path, device: str) -> None:
    one, other = (exported(url, tmp_path, device, form) for form in Format)

    assert one.column_names == other.column_names
    for name in one.column_names:
        assert one[name].to_pylist() == other[name].to_pylist(), name


def test_headings_name_units_and_a_grown_schema_has_all_its_channels(
    url: str, tmp_path: Path
) -> None:
    table = exported(url, tmp_path, "printer-01", Format.PARQUET)

    assert table.column_names == [
        "time", "phase", "quality", "temp [Cel]", "power [1]", "fan [/min]",
    ]  # fmt: skip
    assert table["time"][0].as_py() == START
    assert table["temp [Cel]"].to_pylist() == [20.5, 21.5, 22.5, 23.5, 24.5, *[21.0] * 5]
    assert table["power [1]"].to_pylist() == [*[None] * 5, *[0.25] * 5]
    assert table["fan [/min]"].to_pylist() == [*[None] * 5, 0, 1, 2, 3, 4]
    assert table["phase"].to_pylist() == [*["running"] * 5, *["9"] * 5]
    assert table.schema.field("temp [Cel]").metadata == {b"channel": b"temp", b"unit": b"Cel"}


def test_every_row_is_there_once_however_many_pages(url: str, tmp_path: Path) -> None:
    table = exported(url, tmp_path, "printer-02", Format.PARQUET)

    assert LONG > 5 * export.PAGE
    assert table["time"].to_pylist() == [START + timedelta(seconds=i) for i in range(LONG)]


def test_a_span_holds_its_beginning_and_not_its_end(url: str, tmp_path: Path) -> None:
    span = {"since": at(2), "until": at(4)}
    table = exported(url, tmp_path, "printer-01", Format.CSV, **span)

    assert table["temp [Cel]"].to_pylist() == [22.5, 23.5]


def test_a_device_without_frames_gives_headings_alone(url: str, tmp_path: Path) -> None:
    assert exported(url, tmp_path, "printer-03", Format.PARQUET).num_rows == 0


@pytest.mark.parametrize("form", Format, ids=lambda form: form.value)
def test_memory_stays_flat(url: str, tmp_path: Path, form: Format) -> None:
    """Six pages take no more at their peak than two; pyarrow's own pool is asked as well."""

    def peak(rows: int) -> tuple[int, int]:
        tracemalloc.start()
        pool = pa.default_memory_pool()
        until = at(rows)
        to_file(url, wanted("printer-02", form, until=until), tmp_path / f"{rows}", silent)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, pool.bytes_allocated()

    peak(100)
    short, _ = peak(2 * export.PAGE)
    long, left = peak(LONG)

    assert long < 1.2 * short
    assert left < 2**20


def test_the_api_streams_the_same_file(site: Site, url: str, tmp_path: Path) -> None:
    with site.program("engineer") as program:
        answer = program.get("/devices/printer-01/export", params={"format": "csv"})
        binary = program.get("/devices/printer-01/export", params={"format": "parquet"})

    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="printer-01.csv"'
    assert read_csv(answer.content).equals(exported(url, tmp_path, "printer-01", Format.CSV))
    assert parquet.read_table(io.BytesIO(binary.content)).num_rows == 10


def test_another_tenants_device_is_not_there(site: Site, url: str, tmp_path: Path) -> None:
    with site.program("engineer") as program:
        assert program.get("/devices/theirs/export").status_code == 404
    with pytest.raises(NotFound, match="no device 'theirs' of demo"):
        to_file(url, wanted("theirs"), tmp_path / "x", silent)


def test_a_name_on_several_timelines_wants_one(url: str, tmp_path: Path) -> None:
    with connect(url, name="test") as link:
        KeptLog(connection=link).device("printer-03", timeline="live")
    with pytest.raises(NotFound, match="say --timeline"):
        to_file(url, wanted("printer-03"), tmp_path / "x", silent)


def test_readings_of_a_schema_that_is_not_known_stop_the_export() -> None:
    columns = columns_of([(1, [{"name": "temp", "unit": "Cel"}])])
    page = export.Page(t_ms=[0], schema_id=[2], phase=[3], quality=[0], vals=[[1.0, 2.0]])

    with pytest.raises(export.SchemaAppeared):
        export._values(columns, page)
