"""`foremend emulate bambu` as the program that people start."""

from __future__ import annotations

import asyncio
import sys
import tomllib

import aiomqtt

from stack.embedded.ports import free_port


async def test_what_it_prints_lets_an_agent_in_and_would_do_so_after_a_restart() -> None:
    port = free_port()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack", "emulate", "bambu"),
        *("--port", str(port), "--access-code", "87654321", "--speed", "20"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            assert child.stdout is not None
            lines = [(await child.stdout.readline()).decode() for _ in range(9)]
            told = tomllib.loads("".join(lines))["source"]
            async with aiomqtt.Client(
                told["host"], told["port"], username=told["username"], password=told["password"]
            ) as client:
                await client.subscribe(f"device/{told['serial']}/report")
                report = await anext(aiter(client.messages))
    finally:
        child.terminate()
        await child.wait()

    assert (told["port"], told["password"]) == (port, "87654321")
    assert b"nozzle_temper" in bytes(report.payload)
