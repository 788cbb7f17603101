"""What a person is told who got a configuration wrong: one sentence, with file and setting."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import pytest

from edge_agent.app import run
from edge_agent.live.mapping import load
from edge_agent.live.reasons import reason_of
from edge_agent.logs import PlainLines
from edge_agent.sources.moonraker.status import unheard
from foremend import wire
from foremend.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

AGENT = '[agent]\ntenant = "demo"\ndevice = "d"\n'
MODBUS = '[source]\nkind = "modbus"\nmapping = "modbus_machine"\nhost = "127.0.0.1"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "agent: is missing; add it"),
        ('[agent]\ntenant = "demo"\n', "agent.device: is missing; add it"),
        (
            '[agent]\ntenant = "demo"\ndevice = "my printer"\n',
            "agent.device: is to be letters, digits, - and _ alone, at most 64, not - or _ first",
        ),
        (
            AGENT + "broker = { port = 99999 }\n[source]\n",
            "agent.broker.port: is to be at most 65535",
        ),
        (
            AGENT + 'broker = { hots = "x" }\n[source]\n',
            "agent.broker.hots: there is no such setting; is it host?",
        ),
        (AGENT + MODBUS + 'parity = "even"\n', "source.parity: is to be E, N or O, not even"),
        (AGENT + MODBUS + 'unit = "one"\n', "source.unit: is to be a whole number, not text"),
        (
            AGENT + MODBUS + 'serial = ""\n',
            "source.serial: is empty; give it a value, or leave it out",
        ),
        (
            AGENT + '[source]\nkind = "moonraker"\nurl = "voron.local"\n',
            "source.url: is to be an address that begins with http:// or https://",
        ),
        (
            AGENT
            + MODBUS
            + '[[source.channels]]\nname = "oil"\npath = "holding:1"\nunit = "degC"\n',
            "source.channels[0]: oil: 'degC' is no unit of UCUM; write 'Cel'",
        ),
        (
            AGENT + MODBUS + '[[source.channels]]\nname = "oil"\npath = "holdin:1"\nunit = "Cel"\n',
            "'holdin:1' is no TABLE:NUMBER[:FORM[:ORDER]]",
        ),
        (
            AGENT + "broker = { tls = { ca = '/nowhere/ca.pem' } }\n" + MODBUS,
            "agent.broker.tls.ca: /nowhere/ca.pem cannot be used: No such file or directory",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_file_and_setting(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)

    with pytest.raises(ConfigurationError) as told:
        run(file)

    assert str(told.value) == f"{file}: {sentence}"


def test_a_mapping_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "press.toml").write_text('family = "press"\n')
    file = tmp_path / "agent.toml"
    file.write_text(AGENT + MODBUS.replace("modbus_machine", "press.toml"))

    with pytest.raises(ConfigurationError, match=r"press.toml: model: is missing; add it"):
        run(file)


def test_a_configuration_may_name_parts_that_the_mapping_has_not() -> None:
    fan = wire.Component(instance="hotend_fan", kind="fan", serial="F-7")
    spare = wire.Component(instance="door", kind="door")

    fitted = load("klipper").fitted(more=(), without=(), model=None, parts=(fan, spare))

    assert fitted.components[-2:] == (fan, spare)
    assert [part.instance for part in fitted.components].count("hotend_fan") == 1


def test_a_mistake_in_a_mapping_names_the_mapping(tmp_path: Path) -> None:
    file = tmp_path / "press.toml"
    file.write_text('family = "press"\nmodel = "P"\nsource = "s"\nchannels = []\n')

    with pytest.raises(ConfigurationError, match=rf"{file}: channels: "):
        load(str(file))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "dialout"),
        (errno.EAGAIN, "another program has it"),
        (errno.ENOENT, "plugged in"),
        (errno.ECONNREFUSED, "address and port"),
    ],
)
def test_why_a_device_cannot_be_read_says_what_to_do(number: int, advice: str) -> None:
    assert advice in reason_of(OSError(number, "no"))


def test_the_cause_behind_a_lost_connection_is_advised_on() -> None:
    lost = Unavailable("cannot connect")
    lost.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    assert reason_of(lost).startswith("cannot connect; nobody listens there")


def test_advice_is_given_by_what_lies_behind_a_library_s_own_words() -> None:
    tries = [ConnectionRefusedError(errno.ECONNREFUSED, "refused")]
    told = OSError("All connection attempts failed")
    told.__cause__ = ExceptionGroup("tries", tries)
    assert reason_of(told).startswith("All connection attempts failed; nobody listens there")


def test_paths_that_a_printer_can_never_tell_are_named() -> None:
    paths = ["fan.rpm", "heater_fan.rpm", "tmc extruder.temperature", "sensor mains.power", "typo"]

    assert unheard(paths, ["fan", "tmc2240 extruder"]) == ["heater_fan.rpm", "typo"]


def test_at_a_terminal_a_log_is_a_line_that_a_person_reads() -> None:
    record = logging.makeLogRecord(
        {"msg": "no link", "levelname": "WARNING", "error": "the broker is not reached"}
    )

    assert (
        PlainLines().format(record).endswith("warning no link: error = the broker is not reached")
    )
