"""What a Klipper printer can be told to do, and in which phases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.sources.moonraker.diagnostics import QUERIED, summarise
from edge_agent.sources.moonraker.rpc import Refused
from edge_agent.sources.moonraker.status import class_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.sources.moonraker.rpc import Rpc
    from foremend.wire import Details

_ENDS_IN: Final = {
    "pause": frozenset({"paused"}),
    "resume": frozenset({"printing"}),
    "cancel": frozenset({"cancelled", "standby", "complete"}),
}
"""States of the print that say that it was done."""
MACRO_S: Final = 120.0
"""Owners' macros park the head, and wait for it."""
LOOK_S: Final = 0.25
LOOKS: Final = 40


class Orders:
    """Does what it is told on one connection's printer."""

    def __init__(self, rpc: Callable[[], Rpc]) -> None:
        self._rpc = rpc

    async def run(self, kind: str) -> Details:
        """Do it once; raises CommandFailed."""
        try:
            return await (self._print(kind) if kind in _ENDS_IN else self._diagnose())
        except Refused as error:
            raise CommandFailed(f"the printer refuses: {error}") from error

    async def _print(self, kind: str) -> Details:
        await self._rpc().call(f"printer.print.{kind}", within_s=MACRO_S)
        state = ""
        for _ in range(LOOKS):
            answer = await self._rpc().call(
                "printer.objects.query", objects={"print_stats": ["state"]}
            )
            state = str(answer.get("status", {}).get("print_stats", {}).get("state"))
            if state in _ENDS_IN[kind]:
                return {"state": state}
            await asyncio.sleep(LOOK_S)
        raise CommandFailed(f"the print is {state}")

    async def _diagnose(self) -> Details:
        rpc = self._rpc()
        asked = {
            "server": await _asked(rpc, "server.info"),
            "printer": await _asked(rpc, "printer.info"),
            "host": await _asked(rpc, "machine.proc_stats"),
        }
        names = (await _asked(rpc, "printer.objects.list")).get("objects", [])
        wanted = {name: QUERIED[class_of(name)] for name in names if class_of(name) in QUERIED}
        status = (await _asked(rpc, "printer.objects.query", objects=wanted)).get("status", {})
        return summarise(status=status, **asked)


async def _asked(rpc: Rpc, method: str, **params: object) -> dict[str, Any]:
    """Ask what may be refused: a printer that stands still answers little."""
    try:
        answer = await rpc.call(method, within_s=None, **params)
    except Refused as error:
        return {"refused": str(error)}
    return answer if isinstance(answer, dict) else {}
