"""CAN identifiers and broadcast transfers of SAE J1939-21; pure.

A broadcast of more than 8 bytes comes as an announcement (BAM) and numbered packets of 7 bytes. One
that lacks a packet, or has one twice, is dropped whole: half a message would be read as a fault
that nobody has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foremend.clock import Millis

GLOBAL: Final = 255
"""The destination address of what is meant for everybody."""
REQUEST: Final = 0xEA00
ADDRESS_CLAIMED: Final = 0xEE00
TRANSFER_CONTROL: Final = 0xEC00
TRANSFER_DATA: Final = 0xEB00
_BROADCAST: Final = 32
"""Control byte of a broadcast's announcement."""
_PER_PACKET: Final = 7
_MOST_BYTES: Final = 1785
_ADDRESSED: Final = 240
"""PDU formats below it carry a destination address."""
PACKET_MS: Final = 750
"""T1: the next packet comes within it, or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One parameter group, as its sender meant it."""

    pgn: int
    source: int
    destination: int
    payload: bytes


def parameters(identifier: int, payload: bytes) -> Parameters:
    """Read a 29-bit identifier.

    >>> parameters(0x18FECA00, b"").pgn
    65226
    """
    pgn = identifier >> 8 & 0x3FFFF
    destination = GLOBAL
    if pgn >> 8 & 0xFF < _ADDRESSED:
        destination, pgn = pgn & 0xFF, pgn & 0x3FF00
    return Parameters(pgn=pgn, source=identifier & 0xFF, destination=destination, payload=payload)


def identifier(pgn: int, source: int, *, destination: int = GLOBAL, priority: int = 6) -> int:
    """Make a 29-bit identifier."""
    specific = destination if pgn >> 8 & 0xFF < _ADDRESSED else 0
    return priority << 26 | (pgn | specific) << 8 | source


@dataclass(slots=True)
class _Transfer:
    pgn: int
    size: int
    packets: int
    heard_ms: Millis
    parts: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Broadcasts:
    """Puts broadcasts together; one at a time from each sender."""

    _open: dict[int, _Transfer] = field(default_factory=dict)

    def whole(self, heard: Parameters, now_ms: Millis) -> Parameters | None:
        """Give what is whole with this: itself, or the broadcast it ends."""
        if heard.pgn == TRANSFER_CONTROL:
            self._announced(heard, now_ms)
            return None
        if heard.pgn == TRANSFER_DATA:
            return self._packet(heard, now_ms)
        return heard

    def _announced(self, heard: Parameters, now_ms: Millis) -> None:
        said = heard.payload
        if heard.destination != GLOBAL or len(said) < 8 or said[0] != _BROADCAST:  # noqa: PLR2004 - a whole frame
            return
        self._open.pop(heard.source, None)
        size, packets = int.from_bytes(said[1:3], "little"), said[3]
        if 8 < size <= _MOST_BYTES and packets == -(-size // _PER_PACKET):  # noqa: PLR2004 - likewise
            pgn = int.from_bytes(said[5:8], "little")
            self._open[heard.source] = _Transfer(pgn, size, packets, now_ms)

    def _packet(self, heard: Parameters, now_ms: Millis) -> Parameters | None:
        transfer = self._open.get(heard.source)
        if transfer is None or heard.destination != GLOBAL or not heard.payload:
            return None
        late = now_ms - transfer.heard_ms > PACKET_MS
        if late or heard.payload[0] != len(transfer.parts) + 1:
            del self._open[heard.source]
            return None
        transfer.parts.append(heard.payload[1:])
        transfer.heard_ms = now_ms
        if len(transfer.parts) < transfer.packets:
            return None
        del self._open[heard.source]
        payload = b"".join(transfer.parts)[: transfer.size]
        if len(payload) < transfer.size:
            return None
        return Parameters(
            pgn=transfer.pgn, source=heard.source, destination=GLOBAL, payload=payload
        )
