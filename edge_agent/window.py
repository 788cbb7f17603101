"""What is in flight: sent, and not yet settled by ingest's own acknowledgement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_agent import policy
from edge_agent.messages import Key, Settlement
from foremend import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.messages import Stored
    from foremend.wire import Ack

IN_FLIGHT: Final = 64
"""Messages a device may have in flight (design, section 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    boot: str
    digest: str
    times: int
    due_s: float


class Window:
    """Who may be sent next, and when again; seconds are of any steady clock.

    A broker's PUBACK changes nothing here: only an acknowledgement of ours does.
    """

    def __init__(
        self,
        own_boot: str,
        *,
        size: int = IN_FLIGHT,
        first_resend_s: float = policy.FIRST_RESEND_S,
    ) -> None:
        self.first_resend_s = first_resend_s
        self._own_boot = own_boot
        self.size: Final = size
        self._sent: dict[Key, _Sent] = {}
        self._earlier: dict[Key, str] = {}
        """Boots of what was in flight when a connection ended, by key."""
        self._own_highest = -1
        self.cursor: Key | None = None
        """The last key sent of the backlog; what follows, up to the horizon, has not been sent."""
        self.horizon: Key | None = None
        """The last key of the backlog; None where there is none, and all goes in one lane."""
        self.fresh: Key | None = None
        """The last key sent past the horizon."""

    @property
    def free(self) -> int:
        """Further messages that may be sent."""
        return self.size - len(self._sent)

    @property
    def fresh_flying(self) -> int:
        """Messages in flight past the horizon."""
        return sum(self.is_fresh(key) for key in self._sent)

    @property
    def flying_ahead(self) -> int:
        """Messages in flight that the cursor has not passed."""
        return sum(self.cursor is None or key > self.cursor for key in self._sent)

    def is_fresh(self, key: Key) -> bool:
        """Tell whether a message is past the horizon."""
        return self.horizon is not None and key > self.horizon

    def is_flying(self, key: Key) -> bool:
        """Tell whether a message is in flight."""
        return key in self._sent

    def fall_behind(self, newest: Key) -> None:
        """Count everything up to `newest` as backlog."""
        self.horizon = self.fresh = newest

    def catch_up(self) -> None:
        """Go on in one lane: the backlog is sent."""
        self.cursor, self.horizon, self.fresh = self.fresh, None, None

    def rewind(self) -> None:
        """Look at everything that is kept again; what is in flight stays there."""
        self.cursor = self.horizon = self.fresh = None

    def send(self, message: Stored, now_s: float) -> bool:
        """Note that a message goes out now; give whether it went before."""
        before = self._sent.get(message.key)
        times = before.times + 1 if before else 1
        self._sent[message.key] = _Sent(
            boot=message.boot,
            digest=before.digest if before else wire.digest(message.payload),
            times=times,
            due_s=now_s + policy.resend_after_s(times, self.first_resend_s),
        )
        if self.is_fresh(message.key):
            self.fresh = max(self.fresh or message.key, message.key)
        elif before is None:
            self.cursor = max(self.cursor or message.key, message.key)
        if message.boot == self._own_boot:
            self._own_highest = max(self._own_highest, message.key.seq)
        return before is not None or message.key in self._earlier

    def settle(self, ack: Ack) -> Settlement:
        """Take what an acknowledgement settles out of flight; give it in the outbox's terms."""
        spans = self._spans(ack)
        reasons = {refusal.hash: refusal.reason for refusal in ack.refused}
        refused = tuple(
            (key, reasons[sent.digest])
            for key, sent in self._sent.items()
            if sent.digest in reasons
        )
        flown = self._earlier | {key: sent.boot for key, sent in self._sent.items()}
        covered = [
            key
            for key, boot in flown.items()
            if boot == ack.boot and any(first <= key.seq <= last for first, last in spans)
        ]
        self.forget([*covered, *(key for key, _ in refused)])
        return Settlement(boot=ack.boot, spans=spans, refused=refused)

    def overdue(self, now_s: float) -> frozenset[Key]:
        """Give what is in flight and should be sent again."""
        return frozenset(key for key, sent in self._sent.items() if sent.due_s <= now_s)

    def next_due_s(self) -> float | None:
        """Give when the next message in flight should be sent again."""
        return min((sent.due_s for sent in self._sent.values()), default=None)

    def hasten(self, boot: str, due_s: float) -> None:
        """Let everything of a boot go again by `due_s`, as after its birth was asked for."""
        for key, sent in self._sent.items():
            if sent.boot == boot:
                self._sent[key] = replace(sent, due_s=min(sent.due_s, due_s))

    def forget(self, keys: Iterable[Key]) -> None:
        """Take messages out of flight that the outbox no longer has."""
        for key in keys:
            self._sent.pop(key, None)
            self._earlier.pop(key, None)

    def clear(self) -> None:
        """Begin a new connection: nothing has been sent on it."""
        self._earlier |= {key: sent.boot for key, sent in self._sent.items()}
        self._sent.clear()
        self.rewind()

    def _spans(self, ack: Ack) -> tuple[tuple[int, int], ...]:
        spans = [(0, ack.upto), *ack.ranges]
        if ack.boot == self._own_boot:
            # Nobody can have stored what was never sent: a wrong acknowledgement loses nothing.
            spans = [(first, min(last, self._own_highest)) for first, last in spans]
        return tuple((first, last) for first, last in spans if first <= last)
