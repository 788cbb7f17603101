"""Words to channels, what is believed of them, and how much a device was used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.live import odometers
from edge_agent.live.mapping import JobWords, Mapped, Mapping, load, shipped
from edge_agent.live.odometers import Logbook, Usage, used
from edge_agent.live.present import Present
from edge_agent.live.words import Told
from edge_agent.phases import phase_function
from foremend.errors import ConfigurationError
from foremend.values import Phase, Quality, tells_fault

if TYPE_CHECKING:
    from pathlib import Path

TEMP = Mapped(name="temp", path="a", unit="Cel", low=0.0, high=300.0)
SLOW = Mapped(name="slow", path="b", unit="1", stale_after_s=60)


def present(*, delta: bool = False) -> Present:
    job = JobWords(path="state", words={"printing": "running"})
    mapping = Mapping(
        family="f", model="m", source="s", channels=(TEMP, SLOW), job=job, delta=delta
    )
    return Present(mapping=mapping, stale_after_ms=10_000)


@pytest.mark.parametrize(
    ("told", "value"),
    [("7", 1.4), (7, 1.4), (True, 0.2), ("full", 1.0), ("hot", None), (None, None), ([1], None)],
)
def test_a_word_is_a_number_or_none(told: object, value: float | None) -> None:
    mapped = Mapped(name="fan", path="fan", unit="1", scale=0.2, words={"full": 1.0})
    assert mapped.read(told) == (None if value is None else pytest.approx(value))


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary(), st.booleans()))
def test_whatever_is_told_no_value_is_anything_but_finite(told: object) -> None:
    value = TEMP.read(told)
    assert value is None or value - value == 0


def test_each_value_lives_as_long_as_it_may_be_believed() -> None:
    held = present()
    held.take(Told(values={"a": 20, "b": 1}), 0)
    held.take(Told(values={"b": 2}), 9_000)
    assert held.values(10_000) == (20, 2)
    assert held.values(10_001) == (None, 2)
    assert held.values(69_001) == (None, None)


def test_a_peer_that_tells_changes_alone_vouches_for_the_rest() -> None:
    held = present(delta=True)
    held.take(Told(values={"a": 20, "b": 1}), 0)
    held.take(Told(), 30_000)
    assert held.values(40_000) == (20, 1)


def test_what_was_so_earlier_does_not_replace_what_is_newer() -> None:
    held = present()
    held.take(Told(values={"a": 20}), 5_000)
    held.take(Told(values={"a": 10}, age_ms=2_000), 6_000)
    assert held.values(6_000) == (20, None)


def test_a_frame_is_given_only_where_something_new_was_heard() -> None:
    held = present()
    assert held.frame(0) is None
    held.take(Told(values={"a": 20}), 1_000)
    frame = held.frame(1_500)
    assert frame is not None
    assert (frame.ts_ms, frame.values, frame.quality) == (1_000, (20, None), Quality.GOOD)
    assert held.frame(2_000) is None


def test_a_value_that_cannot_be_makes_its_frame_suspect() -> None:
    held = present()
    held.take(Told(values={"a": 900}), 1_000)
    frame = held.frame(1_000)
    assert frame is not None
    assert (frame.values[0], frame.quality) == (900, Quality.SUSPECT)


def test_a_value_that_its_peer_does_not_vouch_for_makes_its_frame_suspect() -> None:
    held = present()
    held.take(Told(values={"a": 20}, doubtful=True), 1_000)
    frame = held.frame(1_000)
    assert frame is not None
    assert (frame.values[0], frame.quality) == (20, Quality.SUSPECT)
    held.take(Told(values={"a": 21}), 2_000)
    frame = held.frame(2_000)
    assert frame is not None
    assert frame.quality == Quality.GOOD


def test_a_job_word_that_is_not_known_is_unknown() -> None:
    held = present()
    held.take(Told(values={"state": "printing"}), 0)
    assert held.job == "running"
    held.take(Told(values={"state": "dancing"}), 0)
    assert held.job == "unknown"


@pytest.mark.parametrize(
    ("job", "values", "phase"),
    [
        ("running", {"hotend_temp": 214.0, "hotend_target": 215.0}, Phase.RUNNING),
        ("running", {"hotend_temp": 214.0, "hotend_target": 215.0, "bed_temp": 30.0,
                     "bed_target": 60.0}, Phase.HEATING),
        ("idle", {"hotend_temp": 180.0, "hotend_target": 0.0}, Phase.COOLING),
        ("idle", {"hotend_temp": 24.0, "hotend_target": 0.0}, Phase.IDLE),
        ("idle", {"hotend_temp": 215.0, "hotend_target": 215.0}, Phase.IDLE),
        ("paused", {"hotend_temp": 24.0}, Phase.PAUSED),
        ("error", {}, Phase.ERROR),
        ("unknown", {}, Phase.UNKNOWN),
    ],
)  # fmt: skip
def test_phases_of_a_printer(job, values, phase) -> None:
    assert phase_function("fdm_printer")(job, values) is phase


@pytest.mark.parametrize(
    ("job", "speed", "phase"),
    [
        ("unknown", 1480.0, Phase.RUNNING),
        ("unknown", 2.0, Phase.STOPPED),
        ("unknown", None, Phase.UNKNOWN),
        ("error", 1480.0, Phase.ERROR),
        ("stopped", None, Phase.STOPPED),
    ],
)
def test_phases_of_a_machine(job, speed, phase) -> None:
    assert phase_function("press")(job, {"speed": speed}) is phase


def test_a_heat_cycle_counts_once_the_hot_end_has_been_cold() -> None:
    usage = Usage()
    for temp in (20, 200, 180, 140, 200, 59, 151, None, 20, 151):
        usage = used(usage, {"hotend_temp": temp}, Phase.RUNNING, 1.0)
    assert usage.heat_cycles == 3


def test_filament_is_summed_over_jobs_and_time_not_seen_is_not_use() -> None:
    usage = Usage()
    for filament in (100.0, 400.0, None, 500.0, 50.0):
        usage = used(usage, {"filament_used": filament}, Phase.RUNNING, 3600.0)
    assert usage.extruded_m == pytest.approx(0.45)
    assert usage.running_h == pytest.approx(5 * odometers.LONGEST_S / 3600)


def test_odometers_survive_a_restart_and_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "d.odometers.json")
    book.keep(Usage(heat_cycles=7))
    assert Logbook(tmp_path / "d.odometers.json").open().heat_cycles == 7
    (tmp_path / "d.odometers.json").write_text("{")
    assert book.open() == Usage()
    assert (tmp_path / "d.odometers.damaged").exists()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_mapping_is_right_and_names_its_source(name: str) -> None:
    mapping = load(name)
    assert mapping.source
    components = {component.instance for component in mapping.components}
    assert {c.component for c in mapping.channels if c.component} <= components


def test_a_mapping_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no 'klippy'; shipped are"):
        load("klippy")
    (tmp_path / "bad.toml").write_text('family = "f"\nmodel = "m"\nsource = "s"\nchannels = []')
    with pytest.raises(ConfigurationError, match=r"bad.toml.*channels"):
        load(str(tmp_path / "bad.toml"))


def test_a_device_may_have_channels_more_and_fewer_than_its_model() -> None:
    mapping = Mapping(family="f", model="m", source="s", channels=(TEMP, SLOW))
    more = Mapped(name="extra", path="c", unit="1")
    fitted = mapping.fitted(more=(more,), without=("slow",), model="mine")
    assert [c.name for c in fitted.channels] == ["temp", "extra"]
    with pytest.raises(ConfigurationError, match="no channel slwo"):
        mapping.fitted(more=(), without=("slwo",), model=None)


@pytest.mark.parametrize(
    ("code", "severity", "tells"),
    [
        ("heater_not_heating", "error", True),
        ("E17", "warning", True),
        ("job_started", "info", False),
        ("source_lost", "warning", False),
        ("gap", "warning", False),
        ("part_replaced", "warning", False),
    ],
)
def test_a_cable_that_is_pulled_is_no_fault_of_the_device(code, severity, tells) -> None:
    assert tells_fault(code, severity) is tells
