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
_STATES: Final = {Phase.HEATING: "PREPARE", Phase.RUNNING: "RUNNING"}
"""What a job that goes on is doing."""
CANCELLED: Final = 0x0300400C
"""Print error, and reason, of a print that somebody cancelled: until the next one it is FAILED."""


class Printer(Protocol):
    """What an emulated printer shows and takes; `ObedientPrinter` is one."""

    phase: Phase
    paused: bool

    @property
    def at_work(self) -> bool:
        """Whether a job is on, paused or not."""

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
        # One byte a fan, of 255: the part's, the auxiliary, the chamber's.
        "fan_gear": round(255 * v.get("part_fan_cmd", 0.0)),
        "heatbreak_fan_speed": _fan(_share(v.get("hotend_fan_rpm"), HOTEND_FAN_RPM)),
        "gcode_state": _state(printer),
        "wifi_signal": "-45dBm",
        "spd_mag": 100,
        "print_error": 0,
        "fail_reason": "0",
        "hms": [],
    }
    return {name: value for name, value in told.items() if value is not None}


def _state(printer: Printer) -> str:
    if not printer.at_work:
        return "FINISH" if printer.phase is Phase.COOLING else "IDLE"
    return "PAUSE" if printer.paused else _STATES.get(printer.phase, "UNKNOWN")


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
    _cancelled: bool = False

    def look(self) -> bytes | None:
        """Give the report of this instant; None where nothing has changed."""
        now = report_of(self.printer)
        self._cancelled &= now["gcode_state"] not in _STATES.values()
        if self._cancelled:
            now |= {
                "gcode_state": "FAILED",
                "print_error": CANCELLED,
                "fail_reason": str(CANCELLED),
            }
        changed = {name: v for name, v in now.items() if self.told.get(name) != v}
        self.told |= now
        return self._said(changed) if changed else None

    def everything(self) -> bytes:
        """Give the full report."""
        return self._said(self.told)

    def answer(self, payload: bytes) -> list[bytes]:
        """Answer each request of a message, of which programs send several at once; none for none.

        What says no `sequence_id` is answered with 0.
        """
        try:
            asked = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return []
        requests = asked.items() if isinstance(asked, dict) else ()
        answers = (self._answer(topic, told) for topic, told in requests if isinstance(told, dict))
        return [answer for answer in answers if answer is not None]

    def _answer(self, topic: str, request: dict[str, Any]) -> bytes | None:
        number, command = request.get("sequence_id", "0"), str(request.get("command"))
        if (topic, command) == ("pushing", "pushall"):
            return self.everything()
        if (topic, command) == ("info", "get_version"):
            module = [{"name": "ota", "sw_ver": "01.00.00.00", "sn": self.serial, "hw_ver": ""}]
            return msgspec.json.encode(
                {"info": {"command": command, "sequence_id": number, "module": module}}
            )
        if topic != "print":
            return None
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
            self._cancelled = True
            self.printer.call_off()
        return fits

    def _said(self, fields: dict[str, Any]) -> bytes:
        self._number += 1
        head = {"command": "push_status", "sequence_id": str(self._number)}
        return msgspec.json.encode({"print": fields | head})


def notice(serial: str, name: str, address: str) -> bytes:
    """Spell what such a printer says to everybody every few seconds, on UDP port 2021."""
    lines = (
        "NOTIFY * HTTP/1.1",
        "HOST: 239.255.255.250:1900",
        f"Location: {address}",
        "NT: urn:bambulab-com:device:3dprinter:1",
        f"USN: {serial}",
        "Cache-Control: max-age=1800",
        f"DevName.bambu.com: {name}",
        "DevConnect.bambu.com: lan",
        "DevBind.bambu.com: free",
    )
    return "\r\n".join((*lines, "", "")).encode()


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
        for answer in voice.answer(message.payload):
            await _report(client, voice, answer)


async def _report(client: aiomqtt.Client, voice: Voice, payload: bytes) -> None:
    await client.publish(f"device/{voice.serial}/report", payload, qos=0)
