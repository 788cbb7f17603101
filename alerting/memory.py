"""An `AlertStore` in memory that answers like the one in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from alerting.notices import notices
from alerting.store import Due
from alerting.values import AlertKind, Life

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from alerting.notices import Notice
    from alerting.values import AlertState, Change, Context, Evaluation, Group

_TURN: Final = {AlertKind.FAULT: 0, AlertKind.FAILURE: 1, AlertKind.INSPECTION: 2}


def _place(evaluation: Evaluation) -> tuple[int, float, int]:
    kind = evaluation.group.kind
    at = evaluation.ts.timestamp() if kind is AlertKind.FAULT else 0.0
    return _TURN[kind], at, evaluation.row_id


@dataclass(slots=True)
class MemoryAlerts:
    """Fill `waiting`, `contexts` and `clocks`; read `alerts`, `changes` and `told`."""

    contexts: dict[Group, Context] = field(default_factory=dict)
    clocks: dict[str, datetime] = field(default_factory=dict)
    waiting: list[Evaluation] = field(default_factory=list)
    alerts: list[tuple[Group, AlertState]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    told: dict[str, Notice] = field(default_factory=dict)

    def take(self, limit: int) -> list[Evaluation]:
        """Give the oldest unhandled rows: faults, predictions, then anomalies."""
        return sorted(self.waiting, key=_place)[:limit]

    def due(self) -> list[Due]:
        """Give every open alert; looking at one too many decides nothing."""
        return [Due(group, self.clocks[group.timeline]) for group, _ in self._open()]

    def standing(self, groups: Collection[Group]) -> dict[Group, AlertState]:
        """Give every open alert of the groups' devices."""
        devices = {(g.timeline, g.device_id) for g in groups}
        return {g: state for g, state in self._open() if (g.timeline, g.device_id) in devices}

    def surroundings(self, groups: Collection[Group]) -> dict[Group, Context]:
        """Give what stands around each group."""
        return {group: self.contexts[group] for group in groups}

    def save(self, changes: Sequence[Change], handled: Sequence[Evaluation]) -> None:
        """Keep changes, notices and the rest of the rows."""
        for change in changes:
            number = self._put(change)
            for notice in notices(number, change):
                self.told.setdefault(notice.key, notice)
        self.changes.extend(changes)
        self.waiting = [e for e in self.waiting if e not in handled]

    def _put(self, change: Change) -> int:
        if change.before is None:
            self.alerts.append((change.group, change.after))
            return len(self.alerts)
        place = next(
            i
            for i, (group, state) in enumerate(self.alerts)
            if group == change.group and state.life is not Life.RESOLVED
        )
        self.alerts[place] = (change.group, change.after)
        return place + 1

    def _open(self) -> list[tuple[Group, AlertState]]:
        return [(g, s) for g, s in self.alerts if s.life is not Life.RESOLVED]
