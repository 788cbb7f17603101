"""What follows from what was heard: messages of the wire, refusals, and wishes; plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from foremend import wire
from ingest.intake import Accepted, Arrival, Refused, read

if TYPE_CHECKING:
    from ingest.sparkplug.topics import Node


class Reason(Enum):
    """Why readings may be missing, or an edge node is asked for its births."""

    SEQUENCE_GAP = "sequence_gap"
    """A message that should have come did not come."""
    NOT_LISTENING = "not_listening"
    """The connection to the broker was lost, or this process was not there."""
    NO_BIRTH = "no_birth"
    """Something was said before, or without, the birth that would explain it."""
    UNKNOWN_METRIC = "unknown_metric"
    """A metric that the birth did not name, or another type than it said."""
    BIRTH_REFUSED = "birth_refused"
    """A birth could not be read."""


class Tally(Enum):
    """What is counted and neither stored nor set aside."""

    PASSED_OVER = "passed_over"
    """Metrics that are known and hold no number."""
    UNKNOWN = "unknown_metric"
    DUPLICATE = "duplicate"
    """Messages, or births, that were taken already."""
    UNEXPLAINED = "unexplained"
    """Messages that no birth explains; a recorded gap speaks for them."""
    OLD_DEATH = "old_death"
    """Deaths of an earlier connection."""
    RETAINED = "retained"
    """Messages that the broker kept, so that nobody knows how old they are."""
    GAP = "gap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebirth:
    """An edge node is to be asked for all its births."""

    node: Node
    reason: Reason


@dataclass(slots=True)
class Outcome:
    """Everything that follows, in order."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    rebirths: list[Rebirth] = field(default_factory=list)
    tally: Counter[Tally] = field(default_factory=Counter)

    def say(self, address: wire.Address, kind: wire.Up, message: wire.UpMessage) -> None:
        """Say a message as an agent would, held to the same checks."""
        outcome = read(Arrival(topic=address.up(kind), payload=wire.encode(message), qos=0))
        if isinstance(outcome, Accepted):
            self.accepted.append(outcome)
        else:
            self.refused.append(outcome)

    def refuse(self, arrival: Arrival, reason: str, detail: str) -> None:
        """Set a message aside as it came."""
        self.refused.append(
            Refused(arrival=arrival, address=None, reason=reason, detail=detail[:1000])
        )
