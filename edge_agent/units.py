"""Units of channels: UCUM's codes, and the spellings that people write in their place; pure."""

from __future__ import annotations

from typing import Final

USUAL: Final = {
    "°C": "Cel",
    "degC": "Cel",
    "deg C": "Cel",
    "celsius": "Cel",
    "°F": "[degF]",
    "rpm": "/min",
    "percent": "%",
    "volt": "V",
    "volts": "V",
    "amp": "A",
    "amps": "A",
    "sec": "s",
    "hour": "h",
    "hours": "h",
    "psi": "[psi]",
    "m³/h": "m3/h",
    "mm³/s": "mm3/s",
    "m/s²": "m/s2",
    "µm": "um",
    "dBm": "dB[mW]",
    "lpm": "L/min",
    "none": "1",
    "": "1",
}
"""What is no UCUM code, as people write it -> the code (ucum.org, table 4)."""
SYMBOLS: Final = {
    "r/min": "/min",
    "1/min": "/min",
    "min⁻¹": "/min",
    "Nm": "N.m",
    "N·m": "N.m",
    "kWh": "kW.h",
    "kW·h": "kW.h",
    "m³": "m3",
    "°": "deg",
}
"""What machines show, letter for letter -> the code; some are codes of something else."""
_BY_WORD: Final = {word.lower(): code for word, code in USUAL.items()}


def check(channel: str, unit: str) -> None:
    """Refuse a unit that is certainly none of UCUM's, whose codes are plain ASCII.

    Raises:
        ValueError: it is none; says which is meant.

    >>> check("hotend_temp", "Cel")
    """
    code = _BY_WORD.get(unit.strip().lower())
    if code is not None:
        raise ValueError(f"{channel}: {unit!r} is no unit of UCUM; write {code!r}")
    if not unit.isascii():
        raise ValueError(
            f"{channel}: {unit!r} is no unit of UCUM, which are plain ASCII, as in m3/h"
        )


def code_of(shown: str) -> str:
    """Give the code of a unit that a machine shows: as it is where it may be one, else `1`.

    >>> code_of("r/min"), code_of("mm/s"), code_of("½ turn")
    ('/min', 'mm/s', '1')
    """
    plain = shown.strip()
    known = SYMBOLS.get(plain) or _BY_WORD.get(plain.lower())
    return known or (plain if plain.isascii() and plain.isprintable() else "1")
