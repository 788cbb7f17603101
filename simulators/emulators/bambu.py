"""A printer that reports as Bambu Lab's do: JSON on its own topics, changes alone, answers.

Written from the fields that the community has documented (Doridian/OpenBambuAPI, mqtt.md).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from foremend.values import Phase

if TYPE_CHECKING:
    import aiomqtt

    from simulators.emulators.one import OnePrinter, Shown

FULL_FAN: Final = 15
"""Fans are told in fifteenths of full speed."""
HOTEND_FAN_RPM: Final = 7000.0
"""Taken for full speed of the hot-end fan, which reports no turns."""
_STATES: Final = {
    Phase.IDLE: "IDLE",
    Phase.HEATING: "PREPARE",
    Phase.RUNNING: "RUNNING",
    Phase.COOLING: "FINISH",
    Phase.PAUSED: "PAUSE",
    Phase.ERROR: "FAILED",
}


def report_of(shown: Shown) -> dict[str, Any]:
    """Spell what a printer shows as the fields of a full report; what it does not know is left out.

    >>> report_of(printer.advance())["gcode_state"]
    'IDLE'
    """
    v = shown.values
    told: dict[str, Any] = {
        "nozzle_temper": v.get("hotend_temp"),
        "nozzle_target_temper": v.get("hotend_target"),
        "bed_temper": v.get("bed_temp"),
        "bed_target_temper": v.get("bed_target"),
        "chamber_temper": v.get("chamber_temp"),
        "cooling_fan_speed": _fan(v.get("part_fan_cmd")),
        "heatbreak_fan_speed": _fan(_share(v.get("hotend_fan_rpm"), HOTEND_FAN_RPM)),
        "gcode_state": _STATES.get(shown.phase, "UNKNOWN"),
        "wifi_signal": "-45dBm",
        "spd_mag": 100,
        "print_error": 0,
        "hms": [],
    }
    return {name: value for name, value in told.items() if value is not None}


def _fan(share: float | None) -> str | None:
    return None if share is None else str(round(min(max(share, 0.0), 1.0) * FULL_FAN))


def _share(value: float | None, full: float) -> float | None:
    return None if value is None else value / full


@dataclass(slots=True)
class Voice:
    """What one printer says: everything when it is asked, else what has changed."""

    serial: str
    told: dict[str, Any] = field(default_factory=dict)
    paused: bool = False
    _number: int = 0

    def look(self, shown: Shown) -> bytes | None:
        """Give the report of an instant; None where nothing has changed."""
        now = report_of(shown)
        if self.paused and now["gcode_state"] in {"PREPARE", "RUNNING"}:
            now["gcode_state"] = "PAUSE"
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
            number, command = request["sequence_id"], request["command"]
        except (msgspec.DecodeError, AttributeError, ValueError, TypeError, KeyError):
            return None
        if (topic, command) == ("pushing", "pushall"):
            return self.everything()
        if (topic, command) == ("info", "get_version"):
            module = [{"name": "ota", "sw_ver": "01.00.00.00", "sn": self.serial, "hw_ver": ""}]
            return msgspec.json.encode(
                {"info": {"command": command, "sequence_id": number, "module": module}}
            )
        return self._obey(topic, command, number)

    def _obey(self, topic: str, command: str, number: str) -> bytes:
        state = self.told.get("gcode_state")
        fits = {
            "pause": state in {"PREPARE", "RUNNING"},
            "resume": self.paused,
            "stop": state in {"PREPARE", "RUNNING", "PAUSE"},
        }.get(command, False)
        if fits:
            self.paused = command == "pause"
        result = {"result": "success"} if fits else {"result": "failed", "reason": "not now"}
        return msgspec.json.encode(
            {topic: {"command": command, "sequence_id": number, "param": "", **result}}
        )

    def _said(self, fields: dict[str, Any]) -> bytes:
        self._number += 1
        head = {"command": "push_status", "sequence_id": str(self._number)}
        return msgspec.json.encode({"print": fields | head})


async def speak(
    client: aiomqtt.Client, printer: OnePrinter, voice: Voice, *, pause_s: float
) -> None:
    """Report at each step, `pause_s` apart, and answer what is asked, for ever."""
    await client.subscribe(f"device/{voice.serial}/request")
    async with asyncio.TaskGroup() as group:
        group.create_task(_answer(client, voice), name="answers")
        while True:
            said = voice.look(printer.advance())
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
