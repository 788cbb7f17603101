"""Several subscribers that answer as one: a session at the broker for each range that is held."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from ingest.leases import partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ingest.acks import Told
    from ingest.intake import Arrival


class Session(Protocol):
    """A subscriber of one range."""

    def begin(self) -> None:
        """Start to listen, as soon as the broker is there."""

    def retire(self) -> None:
        """Leave the broker soon; never waits."""

    def stop(self) -> None:
        """Leave the broker in good order."""

    def puback(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these deliveries need not be repeated."""

    def tell(self, told: Sequence[Told]) -> None:
        """Send committed acknowledgements."""

    def present(self) -> bool:
        """Whether the broker hears us."""


class Shares:
    """Opens and closes sessions as ranges come and go.

    The sessions are named for their ranges and persistent: whoever takes a range over finds what
    was said since its last holder died.
    """

    def __init__(self, open_session: Callable[[int], Session]) -> None:
        self._open = open_session
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()

    def hear(self, numbers: Collection[int]) -> None:
        """Listen to exactly these ranges from now on."""
        for number in [n for n in self._sessions if n not in numbers]:
            with self._lock:
                gone = self._sessions.pop(number)
            gone.retire()
        for number in sorted(set(numbers) - self._sessions.keys()):
            session = self._open(number)
            session.begin()
            with self._lock:
                self._sessions[number] = session

    def puback(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these need not be repeated; each session knows its own."""
        for session in self._all():
            session.puback(arrivals)

    def tell(self, told: Sequence[Told]) -> None:
        """Send committed acknowledgements over any session that is there."""
        there = next((s for s in self._all() if s.present()), None)
        if there is not None:
            there.tell(told)

    def stop(self) -> None:
        """Close them all."""
        sessions = self._all()
        self.hear(())
        for session in sessions:
            session.stop()

    def _all(self) -> list[Session]:
        with self._lock:
            return list(self._sessions.values())


def session_name(number: int) -> str:
    """Name the broker's session of a range."""
    some = partitions(number)
    return f"foremend-ingest-{some[0]}-{some[-1]}"
