"""What alerting needs of its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from alerting.values import AlertState, Change, Context, Evaluation, Group


class Due(NamedTuple):
    """An open alert that the passing of time may touch, and its timeline's clock."""

    group: Group
    now: datetime


class AlertStore(Protocol):
    """Evaluations to be handled, and the alerts they lead to; used inside one transaction."""

    def take(self, limit: int) -> list[Evaluation]:
        """Give the oldest unhandled rows: faults that devices told, predictions, then anomalies.

        Faults come in the order of their times, the others in that of their ids.

        Nothing is given while another worker holds the turn.
        """
        ...

    def due(self) -> list[Due]:
        """Give open alerts that are below, muted, mutable or long without a word, and faults."""
        ...

    def standing(self, groups: Collection[Group]) -> dict[Group, AlertState]:
        """Give every open alert of the groups' devices, of other groups too."""
        ...

    def surroundings(self, groups: Collection[Group]) -> dict[Group, Context]:
        """Give what stands around each group."""
        ...

    def save(self, changes: Sequence[Change], handled: Sequence[Evaluation]) -> None:
        """Write changes in their order, tell who asked to be told, and mark rows as handled."""
        ...
