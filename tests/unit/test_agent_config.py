"""Configuration, logs and sessions of the agent."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from edge_agent import session
from edge_agent.config import read_config
from edge_agent.logs import JsonLines
from edge_agent.sampling.config import ChannelSampling, SamplingConfig
from edge_agent.site import Site
from edge_agent.source import Description
from edge_agent.sources.kinds import make_source
from foremend import wire
from foremend.errors import ConfigurationError
from foremend.wire import Address, Channel, Component, Up

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[agent]
tenant = "demo"
device = "printer-01"
timeline = "sim:demo"

[agent.broker]
host = "broker.example"
port = 8883

[agent.broker.tls]

[source]
family = "fdm_printer"
model = "Vela 2"

[[source.channels]]
name = "hotend"
unit = "Cel"
"""


def test_a_configuration_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)

    config = read_config(path)

    assert config.agent.address == Address(tenant="demo", device="printer-01")
    assert (config.agent.broker.port, config.agent.timeline) == (8883, "sim:demo")
    assert config.agent.broker.tls is not None
    assert make_source(
        config.source, Site(device="printer-01", folder=tmp_path)
    ).describe().channels == (Channel(name="hotend", unit="Cel"),)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('tenant = "demo"', "", "tenant"),
        ('device = "printer-01"', 'device = "../x"', "device"),
        ("port = 8883", "port = 0", "port"),
        ("port = 8883", "prot = 8883", "prot"),
        ('"sim:demo"', '"yesterday"', "yesterday"),
        ("[source]", "[[[", "agent.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD.replace(old, new))

    with pytest.raises(ConfigurationError, match=complaint):
        read_config(path)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"kind": "tea_leaves"}, "there is no 'tea_leaves'; installed are .*lines"),
        ({"family": "f", "channels": [{"name": "a", "unit": "1"}]}, "model"),
        (
            {"family": "f", "model": "m", "pth": "-"},
            "source.pth: there is no such setting; is it path?",
        ),
        (
            {"family": "f", "model": "m", "channels": [{"name": "a"}]},
            r"source.channels\[0\].unit: is missing; add it",
        ),
    ],
)
def test_a_wrong_setting_of_a_source_is_named(settings, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        make_source(settings, Site(device="d", folder=tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_config(tmp_path / "agent.toml")


def test_a_log_line_is_one_json_object_with_its_extras() -> None:
    record = logging.LogRecord("edge_agent.x", logging.INFO, "p", 1, "said %s", ("hi",), None)
    record.device = "printer-01"

    line = JsonLines().format(record)

    assert "\n" not in line
    fields = json.loads(line)
    assert (fields["level"], fields["event"], fields["device"]) == ("info", "said hi", "printer-01")


def test_an_exception_in_a_log_stays_on_its_line() -> None:
    try:
        int("bad")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "p", 1, "failed", (), (ValueError, error, error.__traceback__)
        )

    line = JsonLines().format(record)

    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_no_two_boots_have_one_id() -> None:
    boots = {session.new_boot() for _ in range(100)}

    assert len(boots) == 100
    assert all(len(boot) == 16 for boot in boots)


@pytest.mark.parametrize("packed", [False, True])
def test_a_birth_says_what_the_source_and_the_session_know(packed: bool) -> None:
    description = Description(
        channels=(Channel(name="hotend", unit="Cel", component="nozzle"),),
        components=(Component(instance="nozzle", kind="nozzle"),),
        family="fdm_printer",
        model="Vela 2",
    )
    own = session.Session(
        address=Address(tenant="t", device="d"), boot="b", boot_ms=9, timeline="replay:r1"
    )

    birth = wire.decode_up(Up.BIRTH, session.birth_of(own, description, packed=packed))

    assert isinstance(birth, wire.Birth)
    assert (birth.boot, birth.boot_ms, birth.timeline) == ("b", 9, "replay:r1")
    assert birth.channels == description.channels
    assert birth.components == description.components


def test_how_readings_are_sampled_is_told_by_channel(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        GOOD
        + """
[sampling]
window_s = 30
before_s = 2.5

[sampling.default]
stale_after_s = 10

[sampling.channels.hotend]
report = "change"
deadband = 0.5
heartbeat_s = 20
statistics = ["min", "max"]
burst_high = 290
"""
    )

    sampling = read_config(path).sampling

    assert (sampling.window_s, sampling.before_s) == (30, 2.5)
    assert sampling.default == ChannelSampling(stale_after_s=10)
    assert sampling.channels["hotend"].statistics == ("min", "max")


def test_without_a_word_on_sampling_everything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)

    assert read_config(path).sampling == SamplingConfig()
