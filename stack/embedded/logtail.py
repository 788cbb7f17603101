"""Reading why a server did not start from what it last wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

KNOWN: Final = {
    r"[Aa]ddress already in use": "its port was taken meanwhile; start again",
    r"[Nn]o space left on device": "the disk is full; free some space and start again",
    r"could not map anonymous shared memory|[Oo]ut of memory|Cannot allocate memory": (
        "memory ran out; end other programs and start again"
    ),
    r"pre-existing shared memory block": (
        "processes of an earlier server still run; end them and start again"
    ),
    r"[Pp]ermission denied": "it was denied a file; check who owns the data folder",
}
TAIL_BYTES: Final = 64 * 1024


def last_lines(log: Path, *, since: int = 0, count: int = 5) -> tuple[str, ...]:
    """Return up to `count` last non-empty lines written after byte `since`."""
    with log.open("rb") as source:
        size = source.seek(0, 2)
        source.seek(max(since, size - TAIL_BYTES))
        lines = source.read().decode("utf-8", "replace").splitlines()
    return tuple(line for line in lines if line.strip())[-count:]


def why(log: Path, since: int) -> str:
    """Say why a program ended, as far as what it wrote after byte `since` tells."""
    lines = last_lines(log, since=since, count=20)
    text = "\n".join(lines)
    known = next((advice for sign, advice in KNOWN.items() if re.search(sign, text)), None)
    return known or f"its last words were: {lines[-1].strip() if lines else 'none'}"


def diagnose(program: str, log: Path, since: int) -> str:
    """Say in one sentence why a program ended, and where to read on."""
    return f"{program} ended while starting: {why(log, since)} (see {log})."
