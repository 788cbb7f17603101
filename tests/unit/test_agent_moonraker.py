"""Klipper's words by way of Moonraker: kept whole, dated, derived, and told as events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.downlink.decide import allowed
from edge_agent.downlink.kinds import OF_PRINTERS
from edge_agent.live.mapping import load
from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.moonraker import events
from edge_agent.sources.moonraker.bench import read_spectrum
from edge_agent.sources.moonraker.config import websocket_url
from edge_agent.sources.moonraker.derived import derive, grid, tilt_mm_m
from edge_agent.sources.moonraker.diagnostics import summarise
from edge_agent.sources.moonraker.eventtime import EventClock
from edge_agent.sources.moonraker.listener import Listener, Memory, Need, Notice
from edge_agent.sources.moonraker.status import WANTED, Status, class_of, spellings, subscription
from foremend.values import Phase

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
HALT = "MCU 'mcu' shutdown: ADC out of range\nThis generally occurs when a heater ...\n"


class Desk:
    """A listener with clocks in the test's hand."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.steady = 1_000_000
        self.memory = memory or Memory()
        self.listener = Listener(
            self.memory, now_ms=lambda: self.steady + 7, steady_ms=lambda: self.steady
        )

    def hear(self, method: str, *params: Any) -> list[Any]:
        return self.listener.hear(Notice(method=method, params=params))

    def ready(self, **status: Any) -> list[Any]:
        whole = {"webhooks": {"state": "ready"}, "print_stats": {"state": "standby"}, **status}
        return self.listener.subscribed(list(whole), whole, 500.0)


def codes(words: list[Any]) -> list[str]:
    return [word.code for word in words if isinstance(word, Happening)]


def told(words: list[Any]) -> dict[str, object]:
    return {k: v for word in words if isinstance(word, Told) for k, v in word.values.items()}


def test_only_fields_that_are_read_are_asked_for() -> None:
    wanted = subscription(["gcode_macro M600", "tmc2209 stepper_x", "extruder1", "configfile"])
    assert wanted == {
        "tmc2209 stepper_x": ["drv_status", "temperature", "run_current"],
        "extruder1": ["temperature", "target", "power"],
    }


def test_what_owners_name_as_they_like_can_be_spelt_without_its_name() -> None:
    spelt = spellings(["heater_fan left", "heater_fan right", "tmc2240 extruder", "fan"])
    assert spelt["heater_fan left"] == ("heater_fan left", "heater_fan")
    assert spelt["heater_fan right"] == ("heater_fan right",)
    assert "tmc extruder" in spelt["tmc2240 extruder"]
    assert spelt["fan"] == ("fan",)


def test_changes_are_merged_and_deep_fields_are_paths() -> None:
    status = Status(["mcu", "extruder"])
    status.take({"extruder": {"temperature": 20.0, "target": 0.0}})
    changed = status.take({"extruder": {"target": 200.0}, "mcu": {"last_stats": {"srtt": 0.1}}})
    assert changed == {"extruder.target": 200.0, "mcu.last_stats.srtt": 0.1}
    assert status.objects["extruder"] == {"temperature": 20.0, "target": 200.0}


def test_a_mesh_gives_its_range_and_tilt_and_a_broken_one_neither() -> None:
    status = Status(["bed_mesh"])
    mesh = {"probed_matrix": [[0.0, 0.3], [0.4, 0.7]], "mesh_min": [0, 0], "mesh_max": [100, 100]}
    status.take({"bed_mesh": mesh})
    assert derive(status)["bed_mesh.range"] == pytest.approx(0.7)
    assert derive(status)["bed_mesh.tilt"] == pytest.approx(5.0)
    status.take({"bed_mesh": {"probed_matrix": [[0.0, "x"], [1]]}})
    assert derive(status)["bed_mesh.range"] is None
    assert derive(status)["bed_mesh.tilt"] is None


@given(st.floats(-50, 50), st.floats(-50, 50), st.integers(2, 5), st.integers(2, 5))
def test_a_plane_s_tilt_is_its_slope(a: float, b: float, columns: int, rows: int) -> None:
    matrix = [[a * x / 1000 + b * y / 1000 for x in range(columns)] for y in range(rows)]
    points = grid(matrix, (0, 0), (columns - 1, rows - 1))
    assert tilt_mm_m(points) == pytest.approx((a * a + b * b) ** 0.5, abs=1e-4)


def test_drivers_warn_of_heat_only_while_any_is_enabled() -> None:
    status = Status(["tmc2209 stepper_x", "tmc2209 stepper_y"])
    status.take({"tmc2209 stepper_x": {"drv_status": None}})
    assert derive(status)["tmc.over_temperature"] is None
    status.take({"tmc2209 stepper_y": {"drv_status": {"otpw": 1, "cs_actual": 12}}})
    assert derive(status)["tmc.over_temperature"] is True


@given(st.dictionaries(st.sampled_from(sorted(WANTED)), JSON), JSON)
def test_whatever_is_told_no_listener_breaks(delta: dict[str, Any], event_s: Any) -> None:
    desk = Desk()
    desk.ready()
    for method in desk.listener._by_method:
        desk.hear(method, delta, event_s)
        desk.hear(method, event_s)
        desk.hear(method)


def test_a_late_message_is_old_by_klipper_s_own_clock() -> None:
    clock = EventClock()
    assert [clock.age_ms(s, ms) for s, ms in ((10.0, 5_000), (10.25, 5_250), (10.5, 8_500))] == [
        0,
        0,
        3_000,
    ]


def test_a_clock_that_began_anew_is_met_anew() -> None:
    clock = EventClock()
    clock.age_ms(90_000.0, 5_000)
    assert clock.age_ms(3.0, 6_000) == 0
    assert clock.age_ms(4.0, 7_100) == 100


def test_a_clock_that_fell_behind_is_believed_again_after_two_windows() -> None:
    clock, behind_ms = EventClock(), 60_000
    clock.age_ms(100.0, 0)
    ages = [clock.age_ms(100.0 + s, s * 1000 + behind_ms) for s in range(0, 62, 1)]
    assert ages[0] == behind_ms
    assert ages[-1] == 0


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 2**40)), max_size=40))
def test_nothing_is_younger_than_now(heard: list[tuple[float, int]]) -> None:
    clock = EventClock()
    assert all(clock.age_ms(s, ms) >= 0 for s, ms in heard)


@pytest.mark.parametrize(
    ("message", "code", "component"),
    [
        ("Heater extruder not heating at expected rate", "heater_not_heating", "hotend_heater"),
        ("Heater heater_bed not heating at expected rate", "heater_not_heating", "bed_heater"),
        (HALT, "thermistor_out_of_range", None),
        (
            "MCU 'mcu' shutdown: ADC out of range\nSensor 'extruder' temperature 410 not in range",
            "thermistor_out_of_range",
            "hotend_thermistor",
        ),
        ("TMC 'stepper_x' reports error: DRV_STATUS: 001 ot=1(OvertempError!)",
         "driver_over_temperature", None),
        ("TMC 'stepper_x' reports error: GSTAT: 00000004 uv_cp=1(Undervoltage!)",
         "driver_under_voltage", "psu"),
        ("Lost communication with MCU 'mcu'", "mcu_lost", None),
        ("MCU 'mcu' shutdown: Timer too close", "mcu_timer", None),
        ("Shutdown due to M112 command", "emergency_stop", None),
        ("No trigger on x after full movement", "endstop_failed", None),
        ("Thermal Runaway, system stopped! Heater_ID: 0", "thermal_runaway", None),
        ("the moon is full", "printer_error", None),
    ],
)  # fmt: skip
def test_messages_of_the_printer_have_stable_codes(
    message: str, code: str, component: str | None
) -> None:
    known = events.known(message)
    assert (known.code, known.component) == (code, component)


def test_a_shutdown_is_told_once_with_its_cause_and_no_value_outlives_it() -> None:
    desk = Desk()
    desk.ready(extruder={"temperature": 210.0})
    halted = {"webhooks": {"state": "shutdown", "state_message": HALT}}
    words = desk.hear("notify_status_update", halted, 501.0)
    assert codes(words) == ["klippy_shutdown", "thermistor_out_of_range"]
    assert told(words)["extruder.temperature"] is None
    assert told(words)["printer.state"] == "shutdown"
    assert not desk.listener.is_ready
    assert codes(desk.hear("notify_klippy_shutdown")) == []
    assert codes(desk.hear("notify_gcode_response", f"!! {HALT}")) == []


def test_a_shutdown_that_gives_no_reason_is_asked_for_it() -> None:
    desk = Desk()
    desk.ready()
    assert codes(desk.hear("notify_klippy_shutdown")) == []
    assert desk.listener.need is Need.REASON
    assert "thermistor_out_of_range" in codes(desk.listener.halted("shutdown", HALT))
    assert desk.listener.need is Need.NOTHING


def test_a_new_connection_does_not_say_an_old_shutdown_again() -> None:
    desk = Desk()
    desk.listener.halted("shutdown", HALT)
    again = Desk(desk.memory)
    assert codes(again.listener.halted("shutdown", HALT)) == []


def test_a_second_shutdown_for_the_same_reason_is_told_again() -> None:
    desk = Desk()
    desk.listener.halted("shutdown", HALT)
    again = Desk(desk.memory)
    again.ready()
    assert "klippy_shutdown" in codes(again.listener.halted("shutdown", HALT))


def test_klipper_that_is_ready_again_is_subscribed_to_anew() -> None:
    desk = Desk()
    desk.ready()
    assert codes(desk.hear("notify_klippy_disconnected")) == ["klippy_disconnected"]
    assert codes(desk.hear("notify_klippy_ready")) == ["klippy_ready"]
    assert desk.listener.need is Need.SUBSCRIPTION


def test_moonraker_alone_does_not_vouch_for_klipper_s_values() -> None:
    desk = Desk()
    desk.ready()
    assert desk.hear("notify_proc_stat_update", {"cpu_temp": 51.5}) == []
    words = desk.hear("notify_status_update", {"fan": {"speed": 0.5}}, 500.5)
    assert told(words)["host.cpu_temp"] == 51.5


def test_the_host_s_low_voltage_is_told_when_it_begins() -> None:
    desk = Desk()
    assert codes(desk.hear("notify_cpu_throttled", {"bits": 0x50001, "flags": []})) == [
        "host_under_voltage"
    ]
    assert codes(desk.hear("notify_cpu_throttled", {"bits": 0x50001, "flags": []})) == []
    assert codes(desk.hear("notify_cpu_throttled", {"bits": 0x50000, "flags": []})) == []
    assert codes(desk.hear("notify_cpu_throttled", {"bits": 0x50005, "flags": []})) == [
        "host_under_voltage",
        "host_throttled",
    ]


def test_filament_that_is_gone_is_told_while_something_is_printed_only() -> None:
    desk = Desk()
    sensor = "filament_switch_sensor runout"
    desk.ready(**{sensor: {"filament_detected": True}})
    gone = {sensor: {"filament_detected": False}}
    assert codes(desk.hear("notify_status_update", gone, 501.0)) == []
    desk.ready(**{sensor: {"filament_detected": True}}, print_stats={"state": "printing"})
    assert codes(desk.hear("notify_status_update", gone, 502.0)) == ["filament_runout"]
    assert codes(desk.hear("notify_status_update", gone, 503.0)) == []


def test_jobs_are_told_as_moonraker_s_history_tells_them() -> None:
    desk = Desk()
    job = {"status": "completed", "print_duration": 3600.5, "filament_used": 812.0, "metadata": {}}
    assert codes(desk.hear("notify_history_changed", {"action": "added", "job": job})) == [
        "job_started"
    ]
    (ended,) = desk.hear("notify_history_changed", {"action": "finished", "job": job})
    assert ended.code == "job_ended"
    assert ended.details == {
        "status": "completed",
        "print_duration": 3600.5,
        "filament_used": 812.0,
    }


def test_the_same_error_is_not_said_again_at_once() -> None:
    desk = Desk()
    line = "!! Extrude below minimum temp"
    assert codes(desk.hear("notify_gcode_response", line)) == ["cold_extrusion"]
    assert codes(desk.hear("notify_gcode_response", line)) == []
    desk.steady += 60_000
    assert codes(desk.hear("notify_gcode_response", line)) == ["cold_extrusion"]
    assert codes(desk.hear("notify_gcode_response", "// all is well")) == []


def test_a_power_meter_of_moonraker_s_is_read_with_the_next_status() -> None:
    desk = Desk()
    desk.ready()
    assert desk.hear("notify_sensor_update", {"psu": {"voltage": 23.9, "power": 80}}) == []
    assert told(desk.hear("notify_status_update", {}, 501.0))["sensor.voltage"] == 23.9


def test_a_meter_that_does_not_change_is_known_from_the_start() -> None:
    desk = Desk()
    desk.listener.metered({"psu": {"values": {"voltage": 24.1}}, "bed": {"values": {"voltage": 1}}})
    assert told(desk.ready())["sensor.voltage"] == 24.1
    desk.hear("notify_sensor_update", {"bed": {"voltage": 2}})
    words = told(desk.hear("notify_status_update", {}, 501.0))
    assert words["sensor bed.voltage"] == 2
    assert "sensor.voltage" not in words


def test_the_mapping_reads_nothing_that_is_not_asked_for() -> None:
    beside = {"sensor", "host", "printer", "self_test"}
    for channel in load("klipper").channels:
        stem, _, field = channel.path.partition(".")
        kind = class_of(stem)
        derived = channel.path in derive(Status())
        assert derived or kind in beside or field.split(".")[0] in WANTED[kind], channel.name


def test_channels_that_the_simulated_printers_have_are_named_and_measured_alike() -> None:
    text = (Path("simulators") / "data" / "printer.toml").read_text()
    simulated = dict(re.findall(r'\[\[channels\]\]\nname = "(\w+)"\nunit = "([^"]+)"', text))
    ours = {channel.name: channel.unit for channel in load("klipper").channels}
    shared = set(simulated) & set(ours)
    assert len(shared) >= 13
    assert {name: ours[name] for name in shared} == {name: simulated[name] for name in shared}


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("http://h:7125", "ws://h:7125/websocket"),
        ("https://h/printer/", "wss://h/printer/websocket"),
    ],
)
def test_the_websocket_stands_beside_the_pages(url: str, socket: str) -> None:
    assert websocket_url(url) == socket


@pytest.mark.parametrize(
    ("kind", "phases"),
    [
        ("pause", {Phase.HEATING, Phase.RUNNING}),
        ("resume", {Phase.PAUSED}),
        ("cancel", {Phase.HEATING, Phase.RUNNING, Phase.PAUSED}),
        ("diagnostics", set(Phase)),
    ],
)
def test_each_order_is_obeyed_in_its_phases_alone(kind: str, phases: set[Phase]) -> None:
    fit = {phase for phase in Phase if allowed(phase, OF_PRINTERS[kind], frozenset())}
    assert fit == phases


def test_what_a_printer_says_of_itself_fits_the_wire_however_much_it_is() -> None:
    drivers = {f"tmc2209 stepper_{n}": {"drv_status": {"otpw": 1}} for n in range(99)}
    host = {"cpu_temp": 51.25, "throttled_state": {"bits": 1, "flags": ["Under-Voltage"]}}
    printer = {"state_message": "x" * 999, "software_version": "v0.13"}
    told = summarise(
        server={"klippy_state": "ready"},
        printer=printer,
        host=host,
        status={"mcu": {"last_stats": {"srtt": 0.001}}, **drivers},
    )
    assert len(told) <= 60
    assert max(len(str(value)) for value in told.values()) <= 256
    assert told["host_throttled"] == "Under-Voltage"
    assert told["mcu.srtt"] == 0.001
    assert told["tmc2209 stepper_0.flags"] == "otpw=1"


def test_a_spectrum_is_read_only_from_a_file_that_can_be_ours(tmp_path: Path) -> None:
    ours = tmp_path / "resonances_x_foremend.csv"
    ours.write_text(spectrum_of(52.0))
    found = read_spectrum(ours, "x")
    assert found is not None
    assert max(found, key=lambda row: row[1])[0] == 52.0
    other = tmp_path / "passwd"
    other.write_text(ours.read_text())
    assert read_spectrum(other, "x") is None
    assert read_spectrum(tmp_path / "resonances_x_foremend_2.csv", "x") is None
    ours.write_text("freq,psd_x\n1,?\n")
    assert read_spectrum(ours, "x") is None


def spectrum_of(peak_hz: float) -> str:
    rows = [f"{hz},{100 if hz == peak_hz else 1},1,1,1" for hz in range(5, 134)]
    return "\n".join(["freq,psd_x,psd_y,psd_z,psd_xyz", *rows]) + "\n"
