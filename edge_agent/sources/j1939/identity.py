"""Who is on a J1939 bus: what control units answer when they are asked who they are; pure.

SAE J1939-71: component identification (PGN 65259: make, model, serial number and unit number, each
ended by `*`) and software identification (PGN 65242: how many fields, then each ended by `*`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_agent.sources.j1939.frames import Parameters

COMPONENT: Final = 65259
SOFTWARE: Final = 65242
ASKED: Final = (COMPONENT, SOFTWARE)
_NAMES: Final = {COMPONENT: "component", SOFTWARE: "software"}
MOST_SENDERS: Final = 24


@dataclass(slots=True)
class Identities:
    """Knows who has said what, and how often anybody was heard.

    >>> Identities().told()
    {'senders': ''}
    """

    _said: dict[tuple[int, int], str] = field(default_factory=dict)
    _senders: set[int] = field(default_factory=set)

    def hear(self, heard: Parameters) -> None:
        """Take one parameter group; any shows that its sender is there."""
        self._senders.add(heard.source)
        if heard.pgn in _NAMES and len(self._said) < len(_NAMES) * MOST_SENDERS:
            self._said[heard.pgn, heard.source] = _fields(heard)

    def told(self) -> dict[str, str]:
        """Spell it: `{"senders": "0, 17", "component@17": "ACME / D8 / 4711"}`."""
        told = {f"{_NAMES[pgn]}@{source}": said for (pgn, source), said in self._said.items()}
        return {"senders": ", ".join(map(str, sorted(self._senders))), **dict(sorted(told.items()))}


def _fields(heard: Parameters) -> str:
    payload = heard.payload[1:] if heard.pgn == SOFTWARE else heard.payload
    text = payload.decode("ascii", "replace")
    return " / ".join(part.strip() for part in text.split("*") if part.strip(" \x00\xff\ufffd"))
