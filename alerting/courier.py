"""Carries due parcels, several destinations at a time, one at a time for each."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from alerting.delivery import Answer, Verdict, judge
from alerting.metrics import DELIVERIES
from foremend.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerting.delivery import DeliveryStore, Parcel, Sender

HANDS: Final = 8
_log = get_logger(__name__)


@dataclass(slots=True)
class Courier:
    """Tries in threads of its own; outcomes are written by the thread that calls `step`."""

    sender: Sender
    chance: Callable[[], float]
    hands: int = HANDS
    _busy: dict[Future[Answer], Parcel] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.hands, thread_name_prefix="delivery")

    def step(self, store: DeliveryStore) -> bool:
        """Write what came back, send what is due; True where anything moved."""
        settled = self._collect(store)
        free = self.hands - len(self._busy)
        parcels = store.claim(free, self.destinations()) if free else []
        for parcel in parcels:
            self._busy[self._threads.submit(self.sender.send, parcel)] = parcel
        return bool(settled or parcels)

    def destinations(self) -> set[int]:
        """Give the destinations that are being tried just now."""
        return {parcel.destination_id for parcel in self._busy.values()}

    def waits(self) -> bool:
        """Tell whether tries are under way."""
        return bool(self._busy)

    def close(self, store: DeliveryStore) -> None:
        """Wait for the tries under way and write their outcomes."""
        self._threads.shutdown(wait=True)
        self._collect(store)

    def _collect(self, store: DeliveryStore) -> int:
        back = [tried for tried in self._busy if tried.done()]
        for tried in back:
            self._settle(store, self._busy[tried], _answer(tried))
            del self._busy[tried]
        return len(back)

    def _settle(self, store: DeliveryStore, parcel: Parcel, answer: Answer) -> None:
        outcome = judge(answer, parcel.attempts, self.chance())
        store.settle(parcel, outcome)
        DELIVERIES.labels(outcome.verdict.value, outcome.why.value).inc()
        loud = _log.info if outcome.verdict is Verdict.DELIVERED else _log.warning
        loud(
            outcome.verdict.value,
            why=outcome.why.value,
            event_type=parcel.event,
            key=parcel.key,
            attempt=parcel.attempts,
            error=outcome.error,
        )


def _answer(tried: Future[Answer]) -> Answer:
    """Give what a try met; one that broke is an answer too, so that it stops no other."""
    error = tried.exception()
    if error is None:
        return tried.result()
    _log.error("a way out broke", exc_info=error)
    return Answer(error=f"{type(error).__name__}: {error}")
