"""A printer that reports as Bambu Lab's do: JSON on its own topics, changes alone, answers.

Written from the fields that the community has documented (Doridian/OpenBambuAPI, mqtt.md).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from foremend.values import Phase
from simulators.emulators.gcode import wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiomqtt

    from simulators.emulators.gcode import Wanted


FULL_FAN: Final = 15
"""Fans are told in fifteenths of full speed."""
HOTEND_FAN_RPM: Final = 7000.0
"""Taken for full speed of the hot-end fan, which reports no turns."""
PART_FAN: Final = 1
"""What these printers number the part fan: M106 P1."""
_STATES: Final = {
    Phase.IDLE: "IDLE",
    Phase.HEATING: "PREPARE",
    Phase.RUNNING: "RUNNING",
    Phase.COOLING: "FINISH",
    Phase.PAUSED: "PAUSE",
    Phase.ERROR: "FAILED",
}


class Printer(Protocol):
    """What an emulated printer shows and takes; `ObedientPrinter` is one."""

    phase: Phase
    paused: bool

    @property
    def values(self) -> Mapping[str, float]:
        """What it shows, by channel, in the units of `simulators/data/printer.toml`."""

    def step(self) -> None:
        """Let a step of its own time pass."""

    def obey(self, wanted: Wanted) -> bool:
        """Set targets and part fan; tells whether it does, which it does not in a job."""

    def call_off(self) -> None:
        """End the job."""


def report_of(printer: Printer) -> dict[str, Any]:
    """Spell what a printer shows as the fields of a full report; what it does not know is left out.

    >>> report_of(printer)["gcode_state"]
    'IDLE'
    """
    v = printer.values
    told: dict[str, Any] = {
        "nozzle_temper": v.get("hotend_temp"),
        "nozzle_target_temper": v.get("hotend_target"),
        "bed_temper": v.get("bed_temp"),
        "bed_target_temper": v.get("bed_target"),
        "chamber_temper": v.get("chamber_temp"),
        "cooling_fan_speed": _fan(v.get("part_fan_cmd")),
        "heatbreak_fan_speed": _fan(_share(v.get("hotend_fan_rpm"), HOTEND_FAN_RPM)),
        "gcode_state": _state(printer),
        "wifi_signal": "-45dBm",
        "spd_mag": 100,
        "print_error": 0,
        "hms": [],
    }
    return {name: value for name, value in told.items() if value is not None}


def _state(printer: Printer) -> str:
    at_work = printer.phase in {Phase.HEATING, Phase.RUNNING}
    return "PAUSE" if printer.paused and at_work else _STATES.get(printer.phase, "UNKNOWN")


def _fan(share: float | None) -> str | None:
    return None if share is None else str(round(min(max(share, 0.0), 1.0) * FULL_FAN))


def _share(value: float | None, full: float) -> float | None:
    return None if value is None else value / full


@dataclass(slots=True)
class Voice:
    """What one printer says: everything when it is asked, else what has changed."""

    serial: str
    printer: Printer
    told: dict[str, Any] = field(default_factory=dict)
    _number: int = 0

    def look(self) -> bytes | None:
        """Give the report of this instant; None where nothing has changed."""
        now = report_of(self.printer)
        changed = {name: v for name, v in now.items() if self.told.get(name) != v}
        self.told |= now
        return self._said(changed) if changed else None

    def everything(self) -> bytes:
        """Give the full report."""
        return self._said(self.told)

    def answer(self, payload: bytes) -> bytes | None:
        """Answer a request; None for what is none."""
        try:
            asked = msgspec.json.decode(payload)
            ((topic, request),) = asked.items()
            number, command = request["sequence_id"], str(request["command"])
        except (msgspec.DecodeError, AttributeError, ValueError, TypeError, KeyError):
            return None
        if (topic, command) == ("pushing", "pushall"):
            return self.everything()
        if (topic, command) == ("info", "get_version"):
            module = [{"name": "ota", "sw_ver": "01.00.00.00", "sn": self.serial, "hw_ver": ""}]
            return msgspec.json.encode(
                {"info": {"command": command, "sequence_id": number, "module": module}}
            )
        param = request.get("param", "")
        done = self._run(str(param)) if command == "gcode_line" else self._steer(command)
        result = {"result": "success"} if done else {"result": "failed", "reason": "not now"}
        return msgspec.json.encode(
            {topic: {"command": command, "sequence_id": number, "param": param, **result}}
        )

    def _run(self, param: str) -> bool:
        """Run lines of G-code; tells whether all are known and obeyed."""
        orders = [wanted(line, part_fan=PART_FAN) for line in param.splitlines() if line.strip()]
        known = [order for order in orders if order is not None]
        return len(known) == len(orders) and all(self.printer.obey(order) for order in known)

    def _steer(self, command: str) -> bool:
        state = _state(self.printer)
        fits = {
            "pause": state in {"PREPARE", "RUNNING"},
            "resume": state == "PAUSE",
            "stop": state in {"PREPARE", "RUNNING", "PAUSE"},
        }.get(command, False)
        if fits:
            self.printer.paused = command == "pause"
        if fits and command == "stop":
            self.printer.call_off()
        return fits

    def _said(self, fields: dict[str, Any]) -> bytes:
        self._number += 1
        head = {"command": "push_status", "sequence_id": str(self._number)}
        return msgspec.json.encode({"print": fields | head})


async def speak(client: aiomqtt.Client, voice: Voice, *, pause_s: float) -> None:
    """Report at each step, `pause_s` apart, and answer what is asked, for ever."""
    await client.subscribe(f"device/{voice.serial}/request")
    async with asyncio.TaskGroup() as group:
        group.create_task(_answer(client, voice), name="answers")
        while True:
            voice.printer.step()
            said = voice.look()
            if said is not None:
                await _report(client, voice, said)
            await asyncio.sleep(pause_s)


async def _answer(client: aiomqtt.Client, voice: Voice) -> None:
    async for message in client.messages:
        answer = voice.answer(message.payload)
        if answer is not None:
            await _report(client, voice, answer)


async def _report(client: aiomqtt.Client, voice: Voice, payload: bytes) -> None:
    await client.publish(f"device/{voice.serial}/report", payload, qos=0)
