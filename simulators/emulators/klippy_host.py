"""An emulated Klipper: its state, its G-code, and what becomes of a part that fails."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foremend.values import Phase, Severity
from simulators.emulators.gcode import OFF, Wanted
from simulators.emulators.klippy import HALTS, Around, objects
from simulators.emulators.printer import BED_MOST_C, HOTEND_MOST_C, ObedientPrinter, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

HELP: Final = {
    "CANCEL_PRINT": "Cancel the current print",
    "FIRMWARE_RESTART": "Restart firmware, host, and reload config",
    "PAUSE": "Pauses the current print",
    "RESTART": "Reload config file and restart host software",
    "RESUME": "Resumes the print from a pause",
    "SET_HEATER_TEMPERATURE": "Sets a heater temperature",
    "TEST_RESONANCES": "Runs the resonance test for a specified axis",
    "TURN_OFF_HEATERS": "Turn off all heaters",
}
_HEATERS: Final = {"extruder": "hotend", "heater_bed": "bed"}
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
SHOWN_HZ: Final = (5.0, 133.0)
"""Klipper's usual range of a resonance test."""


class GcodeError(Exception):
    """Klipper refuses a command; the message is what it says."""


class KlippyHost:
    """Klipper, without a socket.

    >>> host = KlippyHost(Setting(jobs=False))
    >>> host.run("M104 S60")
    """

    def __init__(self, setting: Setting, *, folder: Path | None = None, sd_path: str = "") -> None:
        self.printer = ObedientPrinter(setting)
        self.around = Around(
            sd_path=sd_path, print_state="printing" if self.printer.at_work else "standby"
        )
        self.restarts = 0
        self.said: list[str] = []
        """Lines for the terminal that nobody has taken yet."""
        self._folder = folder or Path("/tmp")  # noqa: S108 - where Klipper writes as well
        self._gcode: Final[dict[str, Callable[[dict[str, str]], None]]] = {
            "M104": lambda told: self._heat("hotend", told.get("S")),
            "M109": lambda told: self._heat("hotend", told.get("S")),
            "M140": lambda told: self._heat("bed", told.get("S")),
            "M190": lambda told: self._heat("bed", told.get("S")),
            "M106": lambda told: self._blow(_number(told.get("S", "255")) / 255.0),
            "M107": lambda _told: self._blow(0.0),
            "M105": lambda _told: self._temperatures(),
            "M112": lambda _told: self.halt("Shutdown due to M112 command"),
            "G28": lambda _told: self._home(),
            "PAUSE": lambda _told: self.pause(),
            "RESUME": lambda _told: self.resume(),
            "CANCEL_PRINT": lambda _told: self.cancel(),
            "SET_HEATER_TEMPERATURE": self._set_heater,
            "TURN_OFF_HEATERS": lambda _told: self._off(),
            "TEST_RESONANCES": self._shake,
            "RESTART": lambda _told: self.restart(),
            "FIRMWARE_RESTART": lambda _told: self.restart(),
        }

    def status(self) -> dict[str, dict[str, Any]]:
        """Give every object's fields."""
        return objects(self.printer, self.around)

    def step(self) -> None:
        """Advance the simulation by one step; a Klipper that has shut down goes on no more."""
        if self.around.state != "ready":
            return
        was_at_work = self.printer.at_work
        self.printer.step()
        while self.printer.events:
            event = self.printer.events.popleft()
            if event.severity is Severity.CRITICAL or event.severity is Severity.ERROR:
                self._fail(event.code)
        self._follow(was_at_work=was_at_work)

    def run(self, script: str) -> None:
        """Run G-code, line by line.

        Raises:
            GcodeError: a line is refused; those after it are not run.
        """
        for line in script.splitlines():
            command, _, rest = line.split(";", 1)[0].strip().partition(" ")
            if command:
                self._run_one(command.upper(), rest)

    def pause(self) -> None:
        """Pause the job."""
        if self.printer.paused:
            self.said.append("// Print already paused")
            return
        if self.printer.at_work:
            self.printer.paused, self.around.print_state = True, "paused"

    def resume(self) -> None:
        """Go on with it."""
        if not self.printer.paused:
            raise GcodeError("Print is not paused, resume aborted")
        self.printer.paused, self.around.print_state = False, "printing"
        self.around.filament_moves = True

    def cancel(self) -> None:
        """Call the job off."""
        if self.printer.at_work:
            self.printer.call_off()
            self.around.print_state = "cancelled"

    def halt(self, message: str) -> None:
        """Shut down."""
        self.around.state, self.around.state_message = "shutdown", message
        self.said += [f"!! {line}" for line in message.strip().splitlines()[:1]]

    def restart(self) -> None:
        """Begin anew, as RESTART does."""
        self.printer.call_off()
        self.printer.obey(OFF)
        sd_path = self.around.sd_path
        self.around = Around(sd_path=sd_path)
        self.restarts += 1

    def _run_one(self, command: str, rest: str) -> None:
        if self.around.state != "ready" and command not in {"RESTART", "FIRMWARE_RESTART", "M112"}:
            raise GcodeError(self.around.state_message)
        act = self._gcode.get(command)
        if act is None:
            self.said.append(f'// Unknown command:"{command}"')
            return
        act(_words(rest))

    def _follow(self, *, was_at_work: bool) -> None:
        around, at_work = self.around, self.printer.at_work
        if at_work and not was_at_work:
            around.print_state, around.print_message = "printing", ""
        elif was_at_work and not at_work and around.print_state == "printing":
            around.print_state = "complete"
        if self.printer.phase is Phase.ERROR and around.print_state == "printing":
            around.print_state = "error"

    def _fail(self, code: str) -> None:
        if code in HALTS:
            self.halt(HALTS[code])
            return
        if self.around.print_state != "printing":
            # It watches fans and filament in a print alone.
            return
        if code == "no_filament_motion":
            self.around.filament_moves = False
        self.around.print_state, self.around.print_message = "error", code
        self.said.append(f"!! {code.replace('_', ' ')}")

    def _heat(self, heater: str, target: str | None) -> None:
        wanted = _number(target or "0")
        if not 0 <= wanted <= (HOTEND_MOST_C if heater == "hotend" else BED_MOST_C):
            raise GcodeError(f"Requested temperature ({wanted:.1f}) out of range")
        if not self.printer.obey(Wanted(**{heater: wanted})):
            self.said.append("// a simulated job keeps its own temperatures")

    def _set_heater(self, told: dict[str, str]) -> None:
        heater = _HEATERS.get(told.get("HEATER", ""))
        if heater is None:
            raise GcodeError(f"The value '{told.get('HEATER')}' is not valid for HEATER")
        self._heat(heater, told.get("TARGET", "0"))

    def _off(self) -> None:
        self.printer.obey(OFF)

    def _blow(self, share: float) -> None:
        if not self.printer.obey(Wanted(fan=share)):
            self.said.append("// a simulated job keeps its own fan")

    def _temperatures(self) -> None:
        read = self.printer.values
        self.said.append(
            f"B:{read['bed_temp']:.1f} /{read['bed_target']:.1f} "
            f"T0:{read['hotend_temp']:.1f} /{read['hotend_target']:.1f}"
        )

    def _home(self) -> None:
        self.around.homed_axes = "xyz"

    def _shake(self, told: dict[str, str]) -> None:
        """Write a spectrum with the belt's resonance, as Klipper does with OUTPUT=resonances."""
        axis, name = told.get("AXIS", "").lower(), told.get("NAME", "test")
        if axis not in {"x", "y"} or not _NAME.match(name):
            raise GcodeError("Invalid axis or name")
        if self.around.homed_axes != "xyz":
            raise GcodeError("Must home axis first")
        file = self._folder / f"resonances_{axis}_{name}.csv"
        file.write_text(spectrum(self.printer.values["belt_x_hz"]), encoding="ascii")
        self.said.append(f"// Resonances data written to {file} file")


def spectrum(peak_hz: float, width_hz: float = 6.0) -> str:
    """Give a table of power over frequency in Klipper's form, one resonance in it."""
    low, high = SHOWN_HZ
    rows = ["freq,psd_x,psd_y,psd_z,psd_xyz"]
    for step in range(int((high - low) / 0.5) + 1):
        hz = low + 0.5 * step
        power = 1e4 / (1.0 + ((hz - peak_hz) / (width_hz / 2)) ** 2) + 5.0 * math.sqrt(hz)
        rows.append(f"{hz:.1f},{power:.3e},{0.1 * power:.3e},{0.05 * power:.3e},{1.15 * power:.3e}")
    return "\n".join(rows) + "\n"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise GcodeError(f"Unable to parse '{text}' as a number") from error


def _words(rest: str) -> dict[str, str]:
    """Read `S60 F1` and `HEATER=extruder TARGET=60` alike."""
    told: dict[str, str] = {}
    for word in rest.split():
        key, equals, value = word.partition("=")
        key, value = (key, value) if equals else (word[:1], word[1:])
        told[key.upper()] = value
    return told
