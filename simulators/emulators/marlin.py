"""Marlin's side of a serial line: answers lines as the firmware does, whatever it drives.

After marlinfw.org's pages on G-codes, and what Marlin 2.1 says on its wire.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final, Protocol

from simulators.emulators.bench import FAN_ON_C
from simulators.emulators.gcode import OFF, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from simulators.emulators.gcode import Wanted
    from simulators.steps import SimEvent

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
CARD_BYTES: Final = 1_000_000
"""Size of every file on the card; how long its print lasts is the simulation's."""
KILLED: Final = "Error:Printer halted. kill() called!"
ERRORS: Final = {
    "heater_not_heating": "Heating failed, system stopped! Heater_ID: 0",
    "thermistor_out_of_range": "MAXTEMP triggered, system stopped! Heater_ID: 0",
    "thermal_runaway": "Thermal Runaway, system stopped! Heater_ID: 0",
    "hotend_fan_stalled": "Fan speed E0",
}
"""What Marlin says of those failures of a printer that it can see."""
_NUMBERED: Final = re.compile(r"N(\d+) ?(.*?)(?:\*(\d+))?")
_MOVES: Final = re.compile(r"([XYZE])(-?\d+(?:\.\d+)?)")
_SILENT: Final = frozenset({"M21", "M82", "M83", "M110", "M117", "G90", "G91", "M84", "M400"})
"""What is answered by `ok` alone, since nothing that is told depends on it."""


class Printer(Protocol):
    """The printer that a firmware drives; `ObedientPrinter` is one."""

    paused: bool
    events: deque[SimEvent]
    """What has happened and is not told yet."""

    @property
    def values(self) -> Mapping[str, float]:
        """What it shows, by channel, in the units of `simulators/data/printer.toml`."""

    @property
    def at_work(self) -> bool:
        """Whether it prints, paused or not."""

    @property
    def progress(self) -> float:
        """How much of the print is done, 0 to 1."""

    def obey(self, wanted: Wanted) -> bool:
        """Set targets and part fan; tells whether it does."""

    def call_off(self) -> None:
        """End the print."""


@dataclass(slots=True)
class Marlin:
    """One firmware; give it lines, and ask it at every beat for what it says by itself.

    >>> Marlin(printer).receive("M105", now_s=0.0)
    ['ok T:21.30 /0.00 B:21.30 /0.00 @:0 B@:0']
    """

    printer: Printer
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
        errors = list(self._errors())
        if errors:
            yield from errors
            yield self._kill()
            return
        for code, report in self._reports().items():
            every_s = self._every_s.get(code, 0.0)
            if every_s and now_s - self._reported_s.get(code, 0.0) >= every_s:
                self._reported_s[code] = now_s
                yield report(self.printer)
        if now_s < self._busy_until_s:
            if now_s - self._busy_said_s >= BUSY_EVERY_S:
                self._busy_said_s = now_s
                yield "echo:busy: processing"
        elif self._busy_until_s:
            self._busy_until_s = 0.0
            yield "ok"
        while self._waiting and not self._busy_until_s:
            yield from self._numbered(self._waiting.popleft(), now_s)

    def _errors(self) -> Iterator[str]:
        while self.printer.events:
            event = self.printer.events.popleft()
            if event.code in ERRORS:
                yield f"Error:{ERRORS[event.code]}"

    def _kill(self) -> str:
        self.halted = True
        self.printer.call_off()
        self.printer.obey(OFF)
        return KILLED

    def _reports(self) -> dict[str, Callable[[Printer], str]]:
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
        name = code.partition(" ")[0].upper()
        match name:
            case "M105":
                yield f"ok{temperatures(self.printer)}"
                return
            case "M155" | "M27" | "M123":
                yield from self._report(name, code)
            case "M114" | "M115":
                yield from (self._where(),) if name == "M114" else identity()
            case "G0" | "G1" | "G92" | "G28":
                self._move(name, code)
            case "G4":
                self._busy_until_s = now_s + _seconds(code)
                return
            case "M24" | "M25" | "M524":
                self._steer(name)
            case "M112":
                yield self._kill()
                return
            case "M104" | "M106" | "M107" | "M140":
                yield from self._set(code)
            case _ if name not in _SILENT:
                yield f'echo:Unknown command: "{code}"'
        yield "ok"

    def _report(self, name: str, code: str) -> Iterator[str]:
        interval = re.search(r"S(\d+)", code)
        if interval:
            self._every_s[name] = float(interval[1])
        elif name != "M155":
            yield self._reports()[name](self.printer)

    def _steer(self, name: str) -> None:
        self.printer.paused = name == "M25" and self.printer.at_work
        if name == "M524":
            self.printer.call_off()

    def _set(self, code: str) -> Iterator[str]:
        asked = wanted(code)
        if asked is not None and not self.printer.obey(asked):
            yield "echo:a simulated print keeps its own temperatures and fan"

    def _where(self) -> str:
        x, y, z, e = (self.position[axis] for axis in "XYZE")
        steps = f"X:{x * 80:.0f} Y:{y * 80:.0f} Z:{z * 400:.0f}"
        return f"X:{x:.2f} Y:{y:.2f} Z:{z:.2f} E:{e:.2f} Count {steps}"

    def _move(self, name: str, code: str) -> None:
        if name == "G28":
            self.position |= dict.fromkeys("XYZ", 0.0)
        self.position |= {axis: float(to) for axis, to in _MOVES.findall(code)}


def temperatures(printer: Printer) -> str:
    """Give a report of M105 or M155, with the space that stands before it."""
    read = printer.values
    hotend = f"T:{read['hotend_temp']:.2f} /{read['hotend_target']:.2f}"
    bed = f"B:{read['bed_temp']:.2f} /{read['bed_target']:.2f}"
    power = f"@:{read['hotend_power'] * PWM:.0f} B@:{read['bed_power'] * PWM:.0f}"
    return f" {hotend} {bed} {power}"


def card(printer: Printer) -> str:
    """Give a report of M27, which says of a print that is paused that none is under way."""
    if printer.paused or not printer.at_work:
        return "Not SD printing"
    return f"SD printing byte {int(printer.progress * CARD_BYTES)}/{CARD_BYTES}"


def fans(printer: Printer) -> str:
    """Give a report of M123: of the hot end's fan alone, since Marlin counts no part fan's turns.

    It counts whole turns in a second (`Marlin/src/feature/fancheck.cpp`).
    """
    read = printer.values
    power = 255 if read["hotend_temp"] > FAN_ON_C else 0
    return f"E0:{60 * int(read['hotend_fan_rpm'] // 60)} RPM E0@:{power} "


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
