"""G-code that every emulated firmware takes alike: targets of heaters, and the part fan; pure.

After marlinfw.org's pages on M104, M106, M107 and M140.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

FULL_FAN: Final = 255.0
_LINE: Final = re.compile(r"\s*([GMT]\d+)([^;]*)")
_WORD: Final = re.compile(r"([A-Z])(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is ordered, None where a thing stays as it is: Cel, and a share of full speed."""

    hotend: float | None = None
    bed: float | None = None
    fan: float | None = None


OFF: Final = Wanted(hotend=0.0, bed=0.0)


def wanted(line: str, *, part_fan: int = 0) -> Wanted | None:
    """Read a line of those; None where it is none. `part_fan` is what a firmware numbers that fan.

    >>> wanted("M104 S60")
    Wanted(hotend=60.0, bed=None, fan=None)
    """
    found = _LINE.match(line.upper())
    if found is None:
        return None
    told = {letter: float(number) for letter, number in _WORD.findall(found[2])}
    match found[1]:
        case "M104":
            return Wanted(hotend=told.get("S"))
        case "M140":
            return Wanted(bed=told.get("S"))
        case "M106" | "M107" as name:
            speed = told.get("S", FULL_FAN) / FULL_FAN if name == "M106" else 0.0
            return Wanted(fan=speed if told.get("P", part_fan) == part_fan else None)
    return None
