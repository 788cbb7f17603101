"""`foremend emulate klippy` as the program that people start."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest


async def ask(socket: Path, method: str) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(json.dumps({"id": 1, "method": method}).encode() + b"\x03")
    try:
        return dict(json.loads((await reader.readuntil(b"\x03"))[:-1]))
    finally:
        writer.close()


async def test_it_answers_on_its_socket_until_it_is_told_to_stop() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fm-"))
    socket = folder / "klippy.sock"
    told = ("--socket", str(socket), "--speed", "40", "--fault", "hotend_heater")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack", "emulate", "klippy", *told),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            assert child.stderr is not None
            assert str(socket) in (await child.stderr.readline()).decode()
            second = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stack", "emulate", "klippy", "--socket", str(socket)),
                stderr=asyncio.subprocess.PIPE,
            )
            _, refused = await second.communicate()
            info = await ask(socket, "info")
            listed = await ask(socket, "objects/list")
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        shutil.rmtree(folder)
    assert second.returncode == 1
    assert "another Klippy answers there" in refused.decode()
    assert info["result"]["state"] == "ready"  # type: ignore[index]
    assert "tmc2240 extruder" in listed["result"]["objects"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("option", "value"), [("--fault", "flux_capacitor"), ("--socket", "/no/such/folder/k.sock")]
)
async def test_what_cannot_be_is_refused_in_one_sentence(option: str, value: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack", "emulate", "klippy", option, value),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate()
    assert child.returncode == 1
    assert value in said.decode()
    assert "Traceback" not in said.decode()
