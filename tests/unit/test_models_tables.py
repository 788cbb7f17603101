"""Reading recordings: what names and times may be, and how each fault of a file is told."""

import numpy as np
import pytest

from foremend.errors import InputError
from models.tables.fleet import FleetFiles, read_devices, read_fleet
from models.tables.reading import read_table
from models.tables.times import NotATime, instant_ms, told_like

H = 3_600_000
TABLES = {
    "telemetry": (
        "ts,device,volt,heat\n"
        "2015-01-02 06:00:00,a,170.5,40\n"
        "2015-01-03 06:00:00,a,,41\n"
        "2015-01-02 06:00:00,b,171,42\n"
        "2015-01-03 06:00:00,b,172,43\n"
    ),
    "errors": "ts,device,code\n2015-01-02 09:00:00,a,E1\n",
    "maintenance": "ts,device,component\n2014-06-01 06:00:00,a,fan\n",
    "failures": "ts,device,component\n2015-01-03 06:00:00,b,belt\n",
    "machines": "device,model\na,m3\nb,m4\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def read(folder):
    files = FleetFiles(**{name: folder / f"{name}.csv" for name in TABLES})
    return read_fleet(files, longest_step_ms=24 * H)


def test_daily_rows_make_daily_steps_that_end_when_the_rows_are_known(folder):
    fleet = read(folder)
    assert (fleet.history.spec.step_ms, fleet.shift_ms) == (24 * H, 6 * H)
    ends = fleet.history.frames.ts_ms % fleet.history.spec.step_ms
    assert (ends == 0).all()


def test_the_history_holds_what_the_tables_tell(folder):
    history = read(folder).history
    assert history.devices == ("a", "b")
    assert (history.spec.channels, history.spec.codes) == (("heat", "volt"), ("E1",))
    assert history.spec.components == ("belt", "fan")
    assert [history.spec.components[k] for k in history.installs.what] == ["fan"]
    assert len(history.replacements) == len(history.failures) == 1
    assert np.isnan(history.frames.values[:, 1]).sum() == 1


def test_other_names_orders_and_separators_make_the_same_fleet(folder):
    told = read(folder)
    (folder / "telemetry.csv").write_text(
        "heat;machineID;volt;datetime\n"
        "41;a;NA;2015-01-03T06:00:00Z\n"
        "43;b;172,0;2015-01-03T06:00:00Z\n"
        "42;b;171;2015-01-02T06:00:00Z\n"
        "40;a;170,5;2015-01-02T06:00:00Z\n"
    )
    (folder / "failures.csv").write_text(
        "machineID,datetime,what broke\nb,1/3/2015 6:00:00 AM,belt\n"
    )
    again = read(folder)
    order = np.lexsort((again.history.frames.device, again.history.frames.ts_ms))
    before = np.lexsort((told.history.frames.device, told.history.frames.ts_ms))
    np.testing.assert_array_equal(
        again.history.frames.values[order], told.history.frames.values[before]
    )
    assert again.history.failures.ts_ms.tolist() == told.history.failures.ts_ms.tolist()


def test_a_bare_date_is_known_when_its_day_is_over(folder):
    dated = TABLES["telemetry"].replace(" 06:00:00", "").replace("ts,", "date,", 1)
    (folder / "telemetry.csv").write_text(dated)
    fleet = read(folder)
    assert fleet.instant(int(fleet.history.frames.ts_ms[0])) == instant_ms("2015-01-03 06:00")


def test_hourly_rows_make_hourly_steps(folder):
    rows = [f"2015-01-02 {h:02}:00:00,{d},170,40" for h in range(8) for d in "ab"]
    (folder / "telemetry.csv").write_text("\n".join(["ts,device,volt,heat", *rows]) + "\n")
    assert read(folder).history.spec.step_ms == H


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("telemetry", "ts,volt\n", "telemetry.csv:1: device: no such column; there are ts, volt"),
        ("telemetry", "ts,device\n2015-01-01,a\n", "no channel"),
        ("telemetry", "ts,device,volt\n", "holds no telemetry"),
        ("telemetry", "ts,device,volt\n2015-01-01,a,high\n", "telemetry.csv:2: volt: 'high'"),
        ("telemetry", "ts,device,volt\n2015-01-01,a,inf\n", "telemetry.csv:2: volt: 'inf'"),
        ("telemetry", "ts,device,volt\n2015-01-01,a,1,2\n", "telemetry.csv:2: 4 cells"),
        ("telemetry", "ts,device,volt\nMonday,a,1\n", "telemetry.csv:2: ts: 'Monday' is not"),
        ("telemetry", "ts,device,volt\n2015-01-01,z,1\n", "telemetry.csv:2: device: 'z' is not"),
        ("errors", "ts,device,code\n2015-01-01,a,\n", "errors.csv:2: code: is empty"),
        ("failures", "ts,device,a,b\n", "failures.csv:1: component: no such column"),
        ("maintenance", "", "maintenance.csv:1: has no header"),
    ],
)
def test_a_fault_is_told_with_its_file_line_and_field(folder, name, text, told):
    (folder / f"{name}.csv").write_text(text)
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        read(folder)


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "nothing.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_table(tmp_path / "picture.csv")


@pytest.mark.parametrize("text", ["a\nb\n", "device\na\nb\n", "machineID,model\na,1\nb,2\n"])
def test_devices_are_named_one_a_line_or_in_a_column(tmp_path, text):
    (tmp_path / "devices").write_text(text)
    assert read_devices(tmp_path / "devices") == {"a", "b"}


@pytest.mark.parametrize(
    "text",
    [
        "2015-01-02T06:00:00Z",
        "2015-01-02 07:00:00+01:00",
        "2015/01/02 06:00",
        "1/2/2015 6:00:00 AM",
        "02.01.2015 06:00",
        "1420178400",
        "1420178400000",
    ],
)
def test_times_are_recognised_by_their_form(text):
    assert instant_ms(text) == instant_ms("2015-01-02 06:00:00")


def test_what_is_no_time_is_refused():
    with pytest.raises(NotATime):
        instant_ms("soon")


def test_an_instant_is_told_with_a_zone_only_where_the_file_has_one():
    ts = instant_ms("2015-01-02 06:00:00")
    assert told_like("2020-05-05 10:00", ts) == "2015-01-02 06:00:00"
    assert told_like("2020-05-05T10:00Z", ts) == "2015-01-02T06:00:00+00:00"
