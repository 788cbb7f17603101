"""What one session of an edge node holds, and how patiently it is asked for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ingest.sparkplug.topics import Kind

if TYPE_CHECKING:
    from foremend.clock import Millis
    from ingest.intake import Arrival
    from ingest.sparkplug.device import Device
    from ingest.sparkplug.outcome import Reason
    from ingest.sparkplug.payload import Payload
    from ingest.sparkplug.topics import Topic

FIRST_WAIT_MS: Final = 1_000
LONGEST_WAIT_MS: Final = 60_000
"""Between two requests for births, doubling from the first."""
ROLL_CALL_MS: Final = 10_000
"""After a loss, or an edge node's birth, until devices that were not born again count as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message that could be read."""

    topic: Topic
    payload: Payload
    arrival: Arrival
    at_ms: Millis
    """When it arrived, by our clock."""

    @property
    def sent_ms(self) -> Millis:
        """When it was sent; by our clock where it does not say."""
        return self.at_ms if self.payload.ts_ms is None else self.payload.ts_ms

    def follows(self, born_ms: Millis) -> bool:
        """Whether what was heard before a birth was sent after it.

        Of the same millisecond only a device's birth is taken, which explains itself: data may be
        of the session before, whose aliases mean something else.
        """
        if self.topic.kind is Kind.DBIRTH:
            return self.sent_ms >= born_ms
        return self.sent_ms > born_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Whose an edge node's devices are, and what they are where their births do not say."""

    tenant: str
    family: str


@dataclass(slots=True, kw_only=True)
class Session:
    """From one birth of an edge node to the next."""

    boot: str
    bd_seq: int
    born_ms: Millis
    """When its edge node was born, by the edge node's clock."""
    heard_ms: Millis
    """When that was heard, by ours."""
    awaited: int
    """The position of the message that comes next."""
    lapse: Reason | None = None
    """Why readings from before this session may be missing."""
    broken_ms: Millis | None = None
    """Since when something is missing: nothing more of this session is taken."""
    held: dict[int, Heard] = field(default_factory=dict)
    """What came too early, by position."""
    devices: dict[str | None, Device] = field(default_factory=dict)
    missed: dict[str | None, Device] = field(default_factory=dict)
    """Devices of the session before that have not been born again yet."""
    latest_ms: Millis = 0
    """When the latest message taken was sent, by the edge node's clock."""

    def present(self) -> dict[str | None, Device]:
        """Give the devices that were born in it, or before it, and have not died since."""
        known = self.missed | self.devices
        return {name: device for name, device in known.items() if device.born}

    def is_settled(self, now_ms: Millis) -> bool:
        """Whether the births that follow its edge node's have had time to come."""
        return now_ms - self.heard_ms >= ROLL_CALL_MS


@dataclass(slots=True, kw_only=True)
class Patience:
    """How long to wait between two requests for births."""

    not_before_ms: Millis = 0
    wait_ms: Millis = FIRST_WAIT_MS

    def ask(self, now_ms: Millis) -> bool:
        """Whether to ask now; the next time it takes longer, until it has been quiet for long."""
        if now_ms < self.not_before_ms:
            return False
        if now_ms - self.not_before_ms > LONGEST_WAIT_MS:
            self.wait_ms = FIRST_WAIT_MS
        self.not_before_ms = now_ms + self.wait_ms
        self.wait_ms = min(2 * self.wait_ms, LONGEST_WAIT_MS)
        return True
