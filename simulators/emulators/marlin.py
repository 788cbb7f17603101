"""Marlin's side of a serial line: answers lines as the firmware does, of whatever body it drives.

After marlinfw.org's pages on G-codes, and what Marlin 2.1 says on its wire.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PWM: Final = 127
"""What `@` says of a heater that is always on."""
BUSY_EVERY_S: Final = 2.0
UUID: Final = "5a1b0c7e-0000-4000-8000-466f72656d64"
CAPABILITIES: Final = (
    ("EEPROM", 0),
    ("AUTOREPORT_TEMP", 1),
    ("AUTOREPORT_SD_STATUS", 1),
    ("EMERGENCY_PARSER", 0),
    ("SDCARD", 1),
    ("THERMAL_PROTECTION", 1),
)
_NUMBERED: Final = re.compile(r"N(\d+) ?(.*?)(?:\*(\d+))?")
_MOVES: Final = re.compile(r"([XYZE])(-?\d+(?:\.\d+)?)")
_SILENT: Final = frozenset({"M21", "M82", "M83", "M110", "M117", "G90", "G91", "M84", "M400"})
"""What is answered by `ok` alone, since nothing that is told depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a body says of itself at one moment: Cel, powers 0 to 1, bytes."""

    hotend: float
    hotend_target: float = 0.0
    hotend_power: float = 0.0
    bed: float
    bed_target: float = 0.0
    bed_power: float = 0.0
    fan_rpm: int = 0
    fan_power: float = 1.0
    printed: int | None = None
    """Bytes of the file on the card, None where none is printed; of `size`."""
    size: int = 0


class Body(Protocol):
    """The printer that a firmware drives."""

    def tell(self) -> Told:
        """Say how it is now."""

    def errors(self) -> tuple[str, ...]:
        """Say what has gone wrong since this was asked last; any halts the firmware."""

    def pause(self) -> None:
        """Pause the print from the card."""

    def resume(self) -> None:
        """Go on with it."""

    def cancel(self) -> None:
        """End it."""


@dataclass(slots=True)
class Marlin:
    """One firmware; give it lines, and ask it at every beat for what it says by itself.

    >>> Marlin(body).receive("M105", now_s=0.0)
    ['ok T:21.30 /0.00 B:21.30 /0.00 @:0 B@:0']
    """

    body: Body
    numbered: int = 0
    """The last line number that was taken."""
    position: dict[str, float] = field(default_factory=lambda: dict.fromkeys("XYZE", 0.0))
    _every_s: dict[str, float] = field(default_factory=dict)
    _reported_s: dict[str, float] = field(default_factory=dict)
    _waiting: deque[str] = field(default_factory=deque)
    _busy_until_s: float = 0.0
    _busy_said_s: float = 0.0
    halted: bool = False

    def greeting(self) -> list[str]:
        """Give what it says when it starts."""
        return ["start", "echo:Marlin 2.1.2.1 (simulated)", "echo:SD card ok"]

    def receive(self, line: str, *, now_s: float) -> list[str]:
        """Take a line, and give what is answered to it now; after a halt, nothing."""
        said = line.split(";", maxsplit=1)[0].strip()
        if self.halted or not said:
            return []
        if now_s < self._busy_until_s:
            self._waiting.append(said)
            return []
        return list(self._numbered(said, now_s))

    def beat(self, *, now_s: float) -> list[str]:
        """Give what it says by itself: errors, reports, that it is busy, and what had to wait."""
        return [] if self.halted else list(self._spontaneous(now_s))

    def _spontaneous(self, now_s: float) -> Iterator[str]:
        told, errors = self.body.tell(), self.body.errors()
        if errors:
            self.halted = True
            yield from (f"Error:{error}" for error in errors)
            yield "Error:Printer halted. kill() called!"
            return
        for code, report in self._reports().items():
            every_s = self._every_s.get(code, 0.0)
            if every_s and now_s - self._reported_s.get(code, 0.0) >= every_s:
                self._reported_s[code] = now_s
                yield report(told)
        if now_s < self._busy_until_s:
            if now_s - self._busy_said_s >= BUSY_EVERY_S:
                self._busy_said_s = now_s
                yield "echo:busy: processing"
        elif self._busy_until_s:
            self._busy_until_s = 0.0
            yield "ok"
        while self._waiting and not self._busy_until_s:
            yield from self._numbered(self._waiting.popleft(), now_s)

    def _reports(self) -> dict[str, Callable[[Told], str]]:
        return {"M155": temperatures, "M27": card, "M123": fans}

    def _numbered(self, said: str, now_s: float) -> Iterator[str]:
        """Check number and sum of a line that has them, as hosts that print send them."""
        found = _NUMBERED.fullmatch(said)
        if found is None:
            yield from self._obey(said, now_s)
            return
        number, code, checksum = int(found[1]), found[2].strip(), found[3]
        wrong = self._wrong(number, code, said, checksum)
        if wrong:
            yield f"Error:{wrong}, Last Line: {self.numbered}"
            yield f"Resend: {self.numbered + 1}"
            yield "ok"
            return
        self.numbered = number
        yield from self._obey(code, now_s)

    def _wrong(self, number: int, code: str, said: str, checksum: str | None) -> str:
        if checksum is None:
            return "No Checksum with line number"
        if int(checksum) != reduce(xor, said[: said.rindex("*")].encode("ascii", "replace"), 0):
            return "checksum mismatch"
        if number != self.numbered + 1 and not code.startswith("M110"):
            return "Line Number is not Last Line Number+1"
        return ""

    def _obey(self, code: str, now_s: float) -> Iterator[str]:
        name = code.split(maxsplit=1)[0].upper() if code else ""
        match name:
            case "M105":
                yield f"ok{temperatures(self.body.tell())}"
                return
            case "M155" | "M27" | "M123":
                yield from self._report(name, code)
            case "M114":
                yield self._where()
            case "M115":
                yield from identity()
            case "G0" | "G1" | "G92" | "G28":
                self._move(name, code)
            case "G4":
                self._busy_until_s = now_s + _seconds(code)
                return
            case "M24" | "M25" | "M524":
                {"M24": self.body.resume, "M25": self.body.pause, "M524": self.body.cancel}[name]()
            case _ if name not in _SILENT:
                yield f'echo:Unknown command: "{code}"'
        yield "ok"

    def _report(self, name: str, code: str) -> Iterator[str]:
        interval = re.search(r"S(\d+)", code)
        if interval:
            self._every_s[name] = float(interval[1])
        elif name != "M155":
            yield self._reports()[name](self.body.tell())

    def _where(self) -> str:
        x, y, z, e = (self.position[axis] for axis in "XYZE")
        steps = f"X:{x * 80:.0f} Y:{y * 80:.0f} Z:{z * 400:.0f}"
        return f"X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:{e:.2f} Count {steps}"

    def _move(self, name: str, code: str) -> None:
        if name == "G28":
            self.position |= dict.fromkeys("XYZ", 0.0)
        self.position |= {axis: float(to) for axis, to in _MOVES.findall(code)}


def temperatures(told: Told) -> str:
    """Give a report of M105 or M155, with the space that stands before it."""
    hotend = f"T:{told.hotend:.2f} /{told.hotend_target:.2f}"
    bed = f"B:{told.bed:.2f} /{told.bed_target:.2f}"
    return f" {hotend} {bed} @:{told.hotend_power * PWM:.0f} B@:{told.bed_power * PWM:.0f}"


def card(told: Told) -> str:
    """Give a report of M27."""
    if told.printed is None:
        return "Not SD printing"
    return f"SD printing byte {told.printed}/{told.size}"


def fans(told: Told) -> str:
    """Give a report of M123, of the one fan with a tachometer."""
    return f"E0:{told.fan_rpm} RPM E0@:{told.fan_power * 255:.0f} "


def identity() -> Iterator[str]:
    """Give the answer to M115."""
    yield (
        "FIRMWARE_NAME:Marlin 2.1.2.1 (simulated) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
        f"PROTOCOL_VERSION:1.0 MACHINE_TYPE:Simulated printer EXTRUDER_COUNT:1 UUID:{UUID}"
    )
    for name, able in CAPABILITIES:
        yield f"Cap:{name}:{able}"


def _seconds(code: str) -> float:
    found = re.search(r"([PS])(\d+(?:\.\d+)?)", code)
    if found is None:
        return 0.0
    return float(found[2]) / (1000 if found[1] == "P" else 1)
