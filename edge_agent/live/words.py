"""What a peer says, before it is mapped to channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edge_agent.source import Happening

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from foremend.clock import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Values in the peer's own words, by path: `{"extruder.temperature": 21.5}`.

    Without values it says only that the peer is there and that nothing has changed.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    age_ms: Millis = 0
    """How long ago it was so; wall clocks may be set meanwhile."""
    doubtful: bool = False
    """Whether the peer itself does not vouch for these values."""


Word = Told | Happening


class Peer(Protocol):
    """The other end: a printer's server, a bus, a broker."""

    def listen(self) -> AsyncGenerator[Word]:
        """Connect, then give what it says.

        Ends, or raises Unavailable, once the connection is lost. Half a message, garbage and what
        it says in no known form are left out.
        """
