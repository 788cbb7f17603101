"""The emulated printer with a broker of its own, before a program that others wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge_agent.site import Site
from edge_agent.source import Frame, Happening
from edge_agent.sources.kinds import make_source
from foremend.values import SOURCE_LOST, Phase
from stack.drill.parts import wait

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = Path(sys.prefix) / "foreign-bambu" / "bin" / "python"
CLIENT: Final = ROOT / "tests" / "foreign" / "bambu_client_peer.py"
PATIENCE_S: Final = 30.0
foreign = pytest.mark.skipif(
    not PYTHON.exists(), reason="no bambulabs_api is installed: see tests/foreign/bambu.in"
)


@contextmanager
def emulated(keep: Path, *more: str) -> Iterator[dict[str, Any]]:
    """Run the program; gives the table that it prints."""
    usual = ("--port", "0", "--speed", "4", "--keep", str(keep))
    argv = [sys.executable, "-m", "stack", "emulate", "bambu", *usual, *more]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            lines = [program.stdout.readline() for _ in range(8)]
            yield tomllib.loads("".join(lines))["source"]
        finally:
            program.terminate()
            program.wait(PATIENCE_S)


@contextmanager
def client(printer: dict[str, Any]) -> Iterator[Client]:
    reached = (printer["host"], str(printer["port"]), printer["password"], printer["serial"])
    with subprocess.Popen(
        [PYTHON, CLIENT, *reached],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


class Client:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._told() == {"ready": True}

    def tell(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._told()

    def sees(self, **what: object) -> bool:
        return wait(lambda: what.items() <= self.tell("look").items(), PATIENCE_S)

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told


@foreign
def test_a_program_that_others_wrote_sees_and_heats_the_emulated_printer(tmp_path: Path) -> None:
    with emulated(tmp_path, "--idle") as printer, client(printer) as program:
        seen = program.tell("look")
        assert (seen["state"], seen["nozzle_target"]) == ("IDLE", 0.0)
        assert 10 < seen["nozzle"] < 40
        assert seen["firmware"] == "01.00.00.00"
        assert program.tell("heat") == {"sent": True}
        assert program.sees(nozzle_target=60.0)
        program.tell("blow")
        assert program.sees(part_fan=255)


@foreign
def test_a_program_that_others_wrote_pauses_resumes_and_stops_a_print(tmp_path: Path) -> None:
    with emulated(tmp_path) as printer, client(printer) as program:
        assert wait(lambda: program.tell("look")["state"] in {"PREPARE", "RUNNING"}, PATIENCE_S)
        program.tell("pause")
        assert program.sees(state="PAUSE")
        program.tell("resume")
        assert wait(lambda: program.tell("look")["state"] in {"PREPARE", "RUNNING"}, PATIENCE_S)
        program.tell("stop")
        assert program.sees(state="FAILED")


async def test_the_agent_reads_the_emulated_printer_by_the_table_that_it_prints(
    tmp_path: Path,
) -> None:
    with emulated(tmp_path, "--idle") as printer:
        source = make_source(printer, Site(device="emulated", folder=tmp_path))
        async for item in source.read():
            if isinstance(item, Frame) and item.phase == Phase.IDLE and item.values[0] is not None:
                break
        await source.close()
        assert item.values[0] == pytest.approx(25, abs=15)


async def test_a_wrong_access_code_is_not_let_in(tmp_path: Path) -> None:
    with emulated(tmp_path, "--idle", "--access-code", "12345678") as printer:
        wrong = printer | {"password": "87654321"}
        source = make_source(wrong, Site(device="stranger", folder=tmp_path))
        reading = source.read()
        lost = await anext(reading)
        await reading.aclose()
    assert isinstance(lost, Happening)
    assert lost.code == SOURCE_LOST
    assert "Not authorized" in str(lost.details["reason"])


def test_what_it_prints_holds_after_a_restart(tmp_path: Path) -> None:
    with emulated(tmp_path, "--idle") as printer:
        pass
    with emulated(tmp_path, "--idle") as again:
        pass
    assert again | {"port": 0} == printer | {"port": 0}
    assert printer["fingerprint"]
