"""When to ask a J1939 network for what is sent on request alone, and by which address; pure.

SAE J1939-21 (request) and J1939-81 (address claiming): who sends claims an address with its name
first, and gives it up to whoever claims it with a lower name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_agent.sources.j1939.frames import ADDRESS_CLAIMED, GLOBAL, REQUEST, identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.sources.j1939.frames import Parameters
    from foremend.clock import Millis

NULL: Final = 254
"""The address of who has none."""
_FUNCTION: Final = 0xFF << 40
"""Function "not available": a name that every control unit's own precedes."""
_IDENTITY: Final = (1 << 21) - 1

Frame = tuple[int, bytes]
"""Identifier and payload."""


def name_of(chance: int) -> int:
    """Make a name that cannot take another address in place of one that is taken."""
    return _FUNCTION | 0x7FF << 21 | chance & _IDENTITY


@dataclass(slots=True, kw_only=True)
class Asking:
    """Claims an address, and asks for parameter groups one after the other."""

    address: int
    name: int
    groups: tuple[int, ...]
    every_ms: Millis
    lost: bool = False
    """Whether somebody with a lower name has our address: then nothing is asked for."""
    _claimed: bool = field(init=False, default=False)
    _next_ms: Millis = field(init=False, default=0)
    _once: list[int] = field(init=False, default_factory=list)

    @property
    def may(self) -> bool:
        """Whether anything may be asked for at all."""
        return bool(self.groups) and not self.lost

    def also(self, group: int) -> None:
        """Ask for this one too, once."""
        self._once.append(group)

    def due(self, now_ms: Millis) -> Iterator[Frame]:
        """Give what to send now: the claim first, then the requests each `every_ms`."""
        if not self.may:
            return
        if not self._claimed:
            self._claimed = True
            yield self._claim(self.address)
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + self.every_ms
            for pgn in self.groups:
                yield self._request(pgn)
        while self._once:
            yield self._request(self._once.pop(0))

    def hear(self, heard: Parameters) -> Iterator[Frame]:
        """Answer who claims our address, or asks who is there."""
        if not self._claimed or self.lost:
            return
        if heard.pgn == REQUEST and heard.destination in {GLOBAL, self.address}:
            if int.from_bytes(heard.payload[:3], "little") == ADDRESS_CLAIMED:
                yield self._claim(self.address)
        elif heard.pgn == ADDRESS_CLAIMED and heard.source == self.address:
            self.lost = int.from_bytes(heard.payload, "little") < self.name
            yield self._claim(NULL if self.lost else self.address)

    def _request(self, pgn: int) -> Frame:
        return identifier(REQUEST, self.address), pgn.to_bytes(3, "little")

    def _claim(self, address: int) -> Frame:
        return identifier(ADDRESS_CLAIMED, address), self.name.to_bytes(8, "little")
