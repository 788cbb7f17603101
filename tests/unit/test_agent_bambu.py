"""Reports of Bambu-style printers, what may be believed of them, and commands with an answer."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.discovery.notices import read_notice
from edge_agent.downlink.kinds import CommandFailed
from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.bambu import trust
from edge_agent.sources.bambu.report import MAX_REPORT, Reader
from foremend.errors import Unavailable
from foremend.values import Phase
from simulators.emulators.bambu import Voice, notice, report_of
from simulators.emulators.printer import ObedientPrinter, Setting
from stack.emulators.certificates import self_signed
from tests.peers.bambu import stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WARM = {"hotend_temp": 210.0, "hotend_target": 210.0, "part_fan_cmd": 1.0}


def words(reader: Reader, **fields: object) -> list:
    return list(reader.words(msgspec.json.encode({"print": fields}), 5))


def test_a_report_gives_its_fields_and_the_signal_without_its_unit() -> None:
    (told,) = words(Reader(), nozzle_temper=210.5, cooling_fan_speed="15", wifi_signal="-45dBm")

    assert told == Told(
        values={"nozzle_temper": 210.5, "cooling_fan_speed": "15", "wifi_signal": "-45"}
    )


def test_a_code_is_told_when_it_comes_and_when_it_goes() -> None:
    reader = Reader()
    standing = {"attr": 0x03000100, "code": 0x00020001}

    _, came = words(reader, hms=[standing])
    (again,) = words(reader, hms=[standing])
    _, went = words(reader, hms=[])

    assert came == Happening(ts_ms=5, code="HMS_0300_0100_0002_0001", severity="error")
    assert isinstance(again, Told)
    assert went == Happening(ts_ms=5, code="HMS_0300_0100_0002_0001_cleared")


def test_a_print_error_is_told_once_and_again_when_it_is_over() -> None:
    reader = Reader()
    assert words(reader, print_error=0x0300_8014)[1:] == [
        Happening(ts_ms=5, code="print_error_03008014", severity="error")
    ]
    assert words(reader, print_error=0x0300_8014)[1:] == []
    assert words(reader, print_error=0)[1:] == [
        Happening(ts_ms=5, code="print_error_03008014_cleared")
    ]


def states(reader: Reader, *statuses: dict) -> list[object]:
    return [words(reader, **status)[0].values.get("state") for status in statuses]


def test_a_print_that_somebody_cancelled_has_not_failed_until_the_next_one_does() -> None:
    assert states(
        Reader(),
        {"gcode_state": "RUNNING"},
        {"gcode_state": "FAILED", "print_error": 50348044},
        {"print_error": 0},
        {"gcode_state": "PREPARE"},
        {"gcode_state": "FAILED", "print_error": 83902465},
    ) == ["RUNNING", "CANCELLED", "CANCELLED", "PREPARE", "FAILED"]
    assert states(Reader(), {"gcode_state": "FAILED", "fail_reason": "50348044"}) == ["CANCELLED"]


def test_a_cancelled_print_is_told_as_such_and_not_as_an_error() -> None:
    reader = Reader()
    assert words(reader, print_error=50348044)[1:] == [Happening(ts_ms=5, code="job_cancelled")]
    assert words(reader, print_error=0)[1:] == []


@given(st.binary(max_size=64))
def test_what_is_no_report_says_nothing_of_any_channel(payload: bytes) -> None:
    assert all(not w.values for w in Reader().words(payload, 0) if isinstance(w, Told))


def test_what_is_too_long_is_not_even_read() -> None:
    assert not list(Reader().words(b'{"print": {"a": 1}}'.ljust(MAX_REPORT + 1), 0))


def at_work() -> SimpleNamespace:
    return SimpleNamespace(
        at_work=True,
        phase=Phase.RUNNING,
        values=WARM,
        paused=False,
        step=lambda: None,
        call_off=lambda: None,
    )


def test_the_voice_tells_everything_when_asked_and_changes_else() -> None:
    voice = Voice("S1", at_work())
    first = msgspec.json.decode(voice.look() or b"")["print"]
    assert (first["nozzle_temper"], first["cooling_fan_speed"]) == (210.0, "15")
    assert voice.look() is None
    (full,) = voice.answer(b'{"pushing": {"sequence_id": "1", "command": "pushall"}}')
    assert msgspec.json.decode(full)["print"]["gcode_state"] == "RUNNING"
    assert voice.answer(b"\xff") == []
    assert voice.answer(b'{"print": 5}') == []


def test_a_printer_that_is_paused_says_so_until_it_goes_on() -> None:
    voice = Voice("S1", at_work())
    asked = {"print": {"sequence_id": "1", "command": "pause"}}
    answer = msgspec.json.decode(*voice.answer(msgspec.json.encode(asked)))
    assert answer["print"]["result"] == "success"
    assert report_of(voice.printer)["gcode_state"] == "PAUSE"


def test_a_simulated_printer_shows_what_a_report_needs() -> None:
    report = report_of(ObedientPrinter(Setting(seed=3)))
    assert {"nozzle_temper", "bed_temper", "gcode_state", "cooling_fan_speed"} <= set(report)


def ordered(voice: Voice, param: object) -> dict:
    asked = {"print": {"sequence_id": "7", "command": "gcode_line", "param": param}}
    return msgspec.json.decode(*voice.answer(msgspec.json.encode(asked)))["print"]


def test_an_idle_printer_obeys_lines_of_g_code_and_its_report_follows() -> None:
    printer = ObedientPrinter(Setting(jobs=False, step_s=1.0))
    voice = Voice("S1", printer)
    answer = ordered(voice, "M104 S60\nM140 S30\nM106 P1 S255\n")
    assert answer == {
        "command": "gcode_line",
        "sequence_id": "7",
        "param": "M104 S60\nM140 S30\nM106 P1 S255\n",
        "result": "success",
    }
    for _ in range(60):
        printer.step()
    report = report_of(printer)
    assert report["nozzle_temper"] == pytest.approx(60, abs=0.5)
    assert (report["nozzle_target_temper"], report["bed_target_temper"]) == (60.0, 30.0)
    assert report["cooling_fan_speed"] == "15"
    assert int(report["heatbreak_fan_speed"]) > 10
    ordered(voice, "M107\nM106 P2 S255")
    assert report_of(printer)["cooling_fan_speed"] == "0"


@pytest.mark.parametrize("param", ["G29", 5, ["M104 S60"], "M104 S60\nG28"])
def test_lines_that_are_not_known_are_refused_and_none_of_them_is_done(param: object) -> None:
    printer = ObedientPrinter(Setting(jobs=False))
    assert ordered(Voice("S1", printer), param)["result"] == "failed"
    assert printer.values["hotend_target"] == 0.0


def test_a_simulated_print_takes_no_lines() -> None:
    printer = ObedientPrinter(Setting(at_once=True))
    assert ordered(Voice("S1", printer), "M104 S0")["reason"] == "not now"
    assert printer.values["hotend_target"] > 150


async def test_a_command_is_answered_by_the_printer_itself(tmp_path: Path) -> None:
    async with stage(tmp_path) as told:
        reading = asyncio.create_task(_read(told.source))
        with pytest.raises(CommandFailed, match="not connected"):
            await told.source.run("pause", {})
        async with asyncio.timeout(10):
            while not (answer := await _try(told.source)):  # noqa: ASYNC110 - it connects by itself
                await asyncio.sleep(0.02)
        assert answer == {"ota": "01.00.00.00"}
        with pytest.raises(CommandFailed, match="refused: not now"):
            await told.source.run("pause", {})
        assert set(told.source.kinds["pause"]) == {Phase.HEATING, Phase.RUNNING}
        await told.source.close()
        await reading


async def _read(source) -> None:
    async for _ in source.read():
        pass


async def _try(source, kind: str = "diagnostics") -> dict:
    try:
        return await source.run(kind, {})
    except CommandFailed:
        return {}


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A server with a certificate of its own making, and the fingerprint of that."""
    certificate, key = self_signed(tmp_path, "printer-serial")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    greet = lambda _reader, writer: writer.close()  # noqa: E731 - it is said and gone
    server = loop.run_until_complete(asyncio.start_server(greet, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    yield server.sockets[0].getsockname()[1], hashlib.sha256(der).hexdigest()
    asyncio.run_coroutine_threadsafe(_close(server), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    await asyncio.sleep(0.1)


async def test_a_pinned_certificate_is_trusted_though_nobody_signed_it(tls_port) -> None:
    port, fingerprint = tls_port
    context = await asyncio.to_thread(trust.pinned, "127.0.0.1", port, fingerprint.upper())
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.close()


async def test_another_certificate_is_refused_before_a_password_is_said(tls_port) -> None:
    with pytest.raises(Unavailable, match=r"another one: [0-9a-f]{64}"):
        await asyncio.to_thread(trust.pinned, "127.0.0.1", tls_port[0], "00" * 32)


async def test_what_no_authority_signed_is_refused_without_a_pin(tls_port) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", tls_port[0], ssl=trust.of_authority(None))


async def test_a_self_test_heats_by_lines_of_g_code_and_leaves_the_printer_off(
    tmp_path: Path,
) -> None:
    # Ten simulated seconds a second.
    printer = ObedientPrinter(Setting(jobs=False, step_s=0.5))
    async with stage(tmp_path, printer) as told:
        reading = asyncio.create_task(_read(told.source))
        async with asyncio.timeout(60):
            while not (found := await _try(told.source, "self_test")):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.02)
        assert found["heater_verdict"] == "measured"
        assert found["fan_verdict"] == "no_tachometer"
        assert found["heater_target_c"] <= 100
        assert printer.values["hotend_target"] == 0
        assert not (tmp_path / "bambu.heaters").exists()
        await told.source.close()
        await reading


def test_an_emulated_printers_notice_is_one_that_discovery_hears() -> None:
    found = read_notice(notice("01S00A123", "emulated printer", "127.0.0.1"), "127.0.0.1")
    assert found is not None
    assert (found.device, found.settings["serial"]) == ("emulated-printer", "01S00A123")
