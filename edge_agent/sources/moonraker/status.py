"""Klipper's status objects: which are asked for, kept whole over deltas, spelt as paths; pure.

Fields: docs/Status_Reference.md of Klipper. A path is `OBJECT.FIELD`, deeper where a field is a
table: `extruder.temperature`, `heater_fan hotend_fan.rpm`, `mcu.last_stats.bytes_retransmit`.
What owners name as they like can be spelt without its name as well: `heater_fan.rpm` is the first
that the printer lists. Drivers are spelt without their model: `tmc stepper_x.temperature`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Objects = dict[str, dict[str, Any]]

_HEATER: Final = ("temperature", "target", "power")
_FAN: Final = ("speed", "rpm")
_FILAMENT: Final = ("filament_detected", "enabled")
WANTED: Final[dict[str, tuple[str, ...]]] = {
    "bed_mesh": ("probed_matrix", "mesh_min", "mesh_max"),
    "canbus_stats": ("rx_error", "tx_error", "tx_retries"),
    "controller_fan": _FAN,
    "extruder": _HEATER,
    "fan": _FAN,
    "fan_generic": _FAN,
    "filament_motion_sensor": _FILAMENT,
    "filament_switch_sensor": _FILAMENT,
    "heater_bed": _HEATER,
    "heater_fan": _FAN,
    "heater_generic": _HEATER,
    "idle_timeout": ("state",),
    "load_cell": ("force_g",),
    "mcu": ("last_stats",),
    "motion_report": ("live_velocity", "live_extruder_velocity"),
    "print_stats": ("state", "message", "filament_used", "print_duration"),
    "temperature_fan": ("temperature", "target", "speed"),
    "temperature_sensor": ("temperature",),
    "tmc": ("drv_status", "temperature", "run_current"),
    "toolhead": ("homed_axes", "stalls"),
    "virtual_sdcard": ("progress",),
    "webhooks": ("state", "state_message"),
}
"""Class of objects -> the fields that are asked for; nothing else is sent to us."""
MOST_OBJECTS: Final = 200
_TMC: Final = re.compile(r"tmc\d+\Z")
_EXTRUDER: Final = re.compile(r"extruder\d+\Z")


def class_of(name: str) -> str:
    """Give an object's class.

    >>> class_of("tmc2209 stepper_x"), class_of("heater_fan hotend_fan"), class_of("extruder1")
    ('tmc', 'heater_fan', 'extruder')
    """
    head = name.split(" ", 1)[0]
    if _TMC.match(head):
        return "tmc"
    return "extruder" if _EXTRUDER.match(head) else head


def subscription(objects: Iterable[str]) -> dict[str, list[str]]:
    """Give what to subscribe to, of the objects that the printer has.

    >>> subscription(["fan", "gcode_macro M600"])
    {'fan': ['speed', 'rpm']}
    """
    chosen = [name for name in objects if class_of(name) in WANTED][:MOST_OBJECTS]
    return {name: list(WANTED[class_of(name)]) for name in chosen}


def spellings(objects: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the names by which each object is spelt in paths.

    >>> spellings(["tmc2209 extruder", "heater_fan a", "heater_fan b"])["heater_fan a"]
    ('heater_fan a', 'heater_fan')
    """
    first: dict[str, str] = {}
    spelt: dict[str, tuple[str, ...]] = {}
    for name in objects:
        head, _, own = name.partition(" ")
        names = [name, f"tmc {own}"] if class_of(name) == "tmc" else [name]
        if own and first.setdefault(head, name) == name:
            names.append(head)
        spelt[name] = tuple(names)
    return spelt


NOT_OBJECTS: Final = frozenset({"host", "printer", "sensor"})
"""First words of paths that are worked out, or are Moonraker's own."""


def unheard(paths: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Give the paths that can never be told, of a printer that has these objects.

    >>> unheard(["fan.rpm", "heater_fan left.rpm", "sensor mains.power"], ["fan"])
    ['heater_fan left.rpm']
    """
    known = {spelt for names in spellings(wanted).values() for spelt in names} | {"tmc"}
    return [path for path in paths if not (_heads(path) & (known | NOT_OBJECTS))]


def _heads(path: str) -> set[str]:
    """Give the object of a path, and its first word."""
    name = path.partition(".")[0]
    return {name, name.split(" ")[0]} if name.startswith("sensor ") else {name}


class Status:
    """What the printer's objects hold, whole.

    >>> status = Status(["extruder"])
    >>> status.take({"extruder": {"temperature": 20.0}})
    {'extruder.temperature': 20.0}
    """

    def __init__(self, objects: Iterable[str] = ()) -> None:
        self.objects: Objects = {}
        self._spelt = spellings(objects)

    def take(self, delta: Mapping[str, Any]) -> dict[str, object]:
        """Merge what has changed; give it by path. What is no object of fields is left out."""
        told: dict[str, object] = {}
        for name, fields in delta.items():
            if not isinstance(fields, dict):
                continue
            self.objects.setdefault(name, {}).update(fields)
            for spelt in self._spelt.get(name, (name,)):
                told.update(_paths(spelt, fields))
        return told

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Give the objects of a class."""
        return (fields for name, fields in self.objects.items() if class_of(name) == kind)

    def field(self, name: str, field: str) -> Any:  # noqa: ANN401 - whatever the printer says
        """Give one field; None where it was not told."""
        return self.objects.get(name, {}).get(field)


def _paths(stem: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from _paths(f"{stem}.{key}", value)
        elif not isinstance(value, list):
            yield f"{stem}.{key}", value
