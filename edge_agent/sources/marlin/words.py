"""What lines of Marlin's serial dialect mean; pure. Also what hosts of such printers hand on of it.

A reply carries no checksum, so that half of one must be known by its form: a report counts only if
the whole line is one, and tells all that earlier ones told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

LONGEST_LINE: Final = 512
"""Bytes; Marlin's longest, the first of M115, is some 300."""
_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_HEATER: Final = rf"[A-Z]\d?: ?{_NUMBER}(?: ?/ ?{_NUMBER})?(?: \({_NUMBER}\))?"
_POWER: Final = r"[A-Z]?@\d?:\d+"
_TOKEN: Final = rf"{_HEATER}|{_POWER}|W:\S+"
_REPORT: Final = re.compile(
    rf"(?:ok(?: [NPB]\d+)* ?)?(?=\w+: ?{_NUMBER} ?/)(?: ?(?:{_TOKEN})(?=\s|$))+ ?"
)
_HEATERS: Final = re.compile(rf"(?<![A-Z@])([A-Z]\d?): ?({_NUMBER}) ?/ ?({_NUMBER})")
_POWERS: Final = re.compile(r"(?<!\S)([A-Z]?)@(\d?):(\d+)")
_NAMES: Final = {"T": "tool0", "B": "bed", "C": "chamber", "": "tool0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a firmware's word of an error stands for."""

    code: str
    severity: Literal["warning", "error", "critical"]
    component: str | None = None


_FAULTS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), fault)
    for pattern, fault in (
        (r"thermal runaway", Fault(code="thermal_runaway", severity="critical")),
        (r"heating failed", Fault(code="heater_not_heating", severity="critical")),
        (r"(max|min)temp", Fault(code="thermistor_out_of_range", severity="critical")),
        (r"fan ?speed|fan fault", Fault(code="hotend_fan_stalled", severity="critical")),
        (r"halted|kill\(\)|stopped", Fault(code="firmware_halted", severity="critical")),
        (r"sd ?card|sd (read|init)|openroot", Fault(code="sd_read_error", severity="error")),
        (
            r"checksum|line number|lost communication",
            Fault(code="communication_error", severity="warning"),
        ),
        (r"probing failed|homing failed", Fault(code="homing_failed", severity="error")),
    )
)
_RUNOUT: Final = re.compile(r"// ?action: ?out_of_filament.*")
RUNOUT: Final = "filament_runout"
_HEATER_ID: Final = re.compile(r"Heater_ID: ?(bed|E?\d)", re.IGNORECASE)
_PARTS: Final = {"heater_not_heating": "heater", "thermistor_out_of_range": "thermistor"}
OTHER: Final = Fault(code="firmware_error", severity="error")
"""An error in words that are not known."""
_ERROR: Final = re.compile(r"(?:Error: ?|!! ?|fatal: ?)(.+)", re.IGNORECASE)


def error_in(line: str) -> str | None:
    """Give what a line says went wrong; None where it says nothing of the kind.

    >>> error_in("Error:Heating failed, system stopped! Heater_ID: 0")
    'Heating failed, system stopped! Heater_ID: 0'
    """
    found = _ERROR.fullmatch(line.strip())
    return found[1].strip() if found else None


def runs_out(line: str) -> bool:
    """Tell whether a line says that the filament is at its end (HOST_ACTION_COMMANDS).

    >>> runs_out("//action:out_of_filament T0")
    True
    """
    return _RUNOUT.fullmatch(line.strip()) is not None


def fault_of(error: str) -> Fault:
    """Give what an error stands for, in the codes that all printers share.

    >>> fault_of("Heating failed, system stopped! Heater_ID: bed").component
    'bed_heater'
    """
    found = next((fault for pattern, fault in _FAULTS if pattern.search(error)), OTHER)
    return replace(found, component=_part(found.code, error))


def _part(code: str, error: str) -> str | None:
    """Give the part of which an error speaks that names its heater."""
    heater = _HEATER_ID.search(error)
    kind = _PARTS.get(code)
    if code == "hotend_fan_stalled":
        return "hotend_fan"
    if heater is None or kind is None:
        return None
    return f"bed_{kind}" if heater[1].lower() == "bed" else f"hotend_{kind}"


def temperatures(line: str) -> dict[str, float]:
    """Read a report of M105 or M155: temperatures and targets (Cel), powers (PWM counts).

    Empty where the line is none, or not the whole of one. Of several hot ends each has its number;
    a `T` without one is the tool in use, and taken for the first where no other is told.

    >>> temperatures("ok T:21.50 /0.00 B:22.00 /60.00 @:0 B@:127")["bed.power"]
    127.0
    """
    if _REPORT.fullmatch(line.strip()) is None:
        return {}
    powers = {_name(name, number): float(power) for name, number, power in _POWERS.findall(line)}
    if not powers:
        return {}
    told = {f"{name}.power": power for name, power in powers.items()}
    # The tool in use comes first, and gives way to what is told of the tools by number.
    for name, actual, target in _HEATERS.findall(line):
        called = _name(name[0], name[1:])
        told |= {f"{called}.actual": float(actual), f"{called}.target": float(target)}
    return told


def _name(letter: str, number: str) -> str:
    if letter in {"T", ""} and number:
        return f"tool{number}"
    return _NAMES.get(letter, letter.lower())


class Whole:
    """Knows a report that was cut short: it lacks what earlier ones told.

    >>> Whole().read("T:21.50 /0.00 @:0")
    {'tool0.power': 0.0, 'tool0.actual': 21.5, 'tool0.target': 0.0}
    """

    def __init__(self) -> None:
        self._usual: frozenset[str] = frozenset()

    def read(self, line: str) -> dict[str, float]:
        """Give what a report tells, nothing where it is none or not whole."""
        told = temperatures(line)
        if not self._usual <= told.keys():
            return {}
        self._usual = frozenset(told)
        return told


class Lines:
    r"""Cuts a stream into lines; one that grows too long is left out to its end.

    >>> Lines().feed(b"ok\r\nT:2")
    ['ok']
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest, self._rest, self._skips = longest, b"", False

    def feed(self, data: bytes) -> list[str]:
        """Give the lines that are whole now; what is no ASCII in them is replaced."""
        *lines, rest = (self._rest + data).split(b"\n")
        whole = lines[1:] if self._skips and lines else lines
        self._skips = (self._skips and not lines) or len(rest) > self._longest
        self._rest = b"" if self._skips else rest
        short = (line for line in whole if len(line) <= self._longest)
        return [line.decode("ascii", "replace").strip() for line in short]
