"""What OctoPrint's messages become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.octoprint.peer import OctoPrintConfig
from edge_agent.sources.octoprint.words import EVENTS, Hearing
from foremend.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000_000
KEYS = st.sampled_from(("temps", "tool0", "actual", "state", "flags", "logs", "type", "payload"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def heard(*messages: object) -> list:
    hearing = Hearing()
    return [word for one in messages for word in hearing.take(msgspec.json.encode(one), NOW)]


def told(*messages: object) -> dict[str, object]:
    """What holds after all of them."""
    words = [word for word in heard(*messages) if isinstance(word, Told)]
    return {path: value for word in words for path, value in word.values.items()}


def state(flag: str, **more: object) -> dict:
    return {"current": {"state": {"flags": {flag: True, "operational": True}}, **more}}


def test_of_several_temperatures_the_last_counts_and_is_as_old_as_the_server_says() -> None:
    temps = [
        {"time": 95, "bed": {"actual": 20.0, "target": 0}},
        {
            "time": 97,
            "tool0": {"actual": 21.5, "target": 200.0},
            "bed": {"actual": 30, "target": 0},
        },
    ]
    words = heard({"current": {"temps": temps, "serverTime": 100.5}})
    assert words[0].age_ms == 2500
    assert words[0].values["tool0.actual"] == 21.5
    assert words[0].values["bed.actual"] == 30


def test_the_first_of_its_flags_is_what_the_printer_does() -> None:
    assert told(state("pausing"))["state"] == "pausing"
    assert told(state("operational"))["state"] == "operational"
    assert told({"current": {"state": {"flags": {}}}})["state"] == "none"


def test_nothing_is_known_of_the_heaters_of_a_printer_that_left() -> None:
    temps = [{"time": 1, "tool0": {"actual": 20.0, "target": 0}}]
    found = told(state("operational", temps=temps, serverTime=1), state("closedOrError"))
    assert found["tool0.actual"] is None
    assert found["state"] == "closedOrError"


def test_the_terminal_tells_power_and_errors_and_the_history_repeats_neither() -> None:
    lines = ["Recv: T:21.3 /0.0 B:20.0 /0.0 @:64 B@:3", "Recv: Error:Heating failed", "Send: M105"]
    lines += ["Recv: //action:out_of_filament T0"]
    words = heard({"history": {"logs": lines}}, {"current": {"logs": lines}})
    happened = [word for word in words if isinstance(word, Happening)]
    assert [one.code for one in happened] == ["heater_not_heating", "filament_runout"]
    assert told({"current": {"logs": lines}})["bed.power"] == 3.0
    assert "tool0.power" not in told({"history": {"logs": lines}})


def test_an_error_that_comes_as_a_line_and_as_an_event_is_told_once() -> None:
    error = "Thermal Runaway, system stopped! Heater_ID: bed"
    event = {"event": {"type": "Error", "payload": {"error": error, "reason": "firmware"}}}
    (one,) = heard({"current": {"logs": [f"Recv: Error:{error}"]}}, event)[1:]
    assert one.code == "thermal_runaway"
    (alone,) = heard(event)
    assert alone.details == {"reason": "firmware", "text": error}


@pytest.mark.parametrize("name", sorted(EVENTS.keys() - {"FirmwareData"}))
def test_each_event_is_told_on_without_files_and_users(name: str) -> None:
    payload = {"name": "vase.gcode", "path": "x/vase.gcode", "user": "someone", "time": 12.5}
    (one,) = heard({"event": {"type": name, "payload": payload}})
    assert one.code == EVENTS[name].code
    assert not {"vase.gcode", "x/vase.gcode", "someone"} & set(one.details.values())


def test_a_cancelled_print_is_not_a_failed_one() -> None:
    cancelled = {"type": "PrintFailed", "payload": {"reason": "cancelled"}}
    failed = {"type": "PrintFailed", "payload": {"reason": "error"}}
    assert heard({"event": cancelled}) == []
    assert [one.code for one in heard({"event": failed})] == ["job_failed"]


def test_a_session_that_ended_is_made_anew() -> None:
    with pytest.raises(Unavailable, match="new login"):
        heard({"reauthRequired": {"reason": "stale"}})


@given(JSON)
def test_whatever_comes_is_left_out_or_told(message: object) -> None:
    hearing = Hearing()
    for one in (message, {"current": message}, {"history": message}, {"event": message}):
        for word in hearing.take(msgspec.json.encode(one), NOW):
            assert isinstance(word, Told | Happening)


@given(st.binary(max_size=64))
def test_noise_is_left_out(noise: bytes) -> None:
    assert [w for w in Hearing().take(noise, NOW) if isinstance(w, Happening)] == []


def test_the_address_of_the_socket_follows_from_that_of_the_server() -> None:
    config = OctoPrintConfig(url="https://shop.example/printer/", api_key="k")
    assert config.socket == "wss://shop.example/printer/sockjs/websocket"
    with pytest.raises(ConfigurationError, match="http"):
        OctoPrintConfig(url="octopi.local", api_key="k")


def test_a_key_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    config = OctoPrintConfig(url="http://octopi.local", api_key_file=str(file))
    with pytest.raises(Unavailable, match="key cannot be read"):
        config.key()
    file.write_text("secret\n")
    assert config.key() == "secret"
    with pytest.raises(ConfigurationError, match="api_key or api_key_file"):
        OctoPrintConfig(url="http://octopi.local")
