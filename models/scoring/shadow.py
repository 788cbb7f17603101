"""A challenger's view of the log: its own cohort, with itself in force; outputs kept apart.

The engine is the live one. Only what it is fed and where its outputs go differ, so that a shadow
says what the challenger would have said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Queries, transaction
from models.scoring.engine import SHARED, SHARED_PRIORS
from models.scoring.entries import Adoption, Batch, Introduction
from models.scoring.store import ScoringStore, Stretch, prediction_row
from models.scoring.turns import chosen_rows
from models.trials.store import consumer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from foremend.db import Connection
    from models.scoring.entries import Entry, Outputs
    from models.scoring.store import Positions

_SQL: Final = Queries.load("models.scoring", "shadow.sql")


@dataclass(slots=True)
class View:
    """Turns what is logged for all into what one challenger would have been given; pure."""

    version: str
    cohort: str
    devices: set[int] = field(default_factory=set)
    """Introduced so far."""

    def of(self, entries: Iterable[Entry]) -> list[Entry]:
        """Give what concerns the cohort, without the models that were in force."""
        return [kept for entry in entries if (kept := self._of(entry)) is not None]

    def in_force(self, partitions: Iterable[int]) -> list[Entry]:
        """Put the challenger in force, as far as the engine is concerned."""
        return [
            Adoption(partition=p, kind="model", cohort=self.cohort, version=self.version)
            for p in sorted(partitions)
        ]

    def _of(self, entry: Entry) -> Entry | None:
        if isinstance(entry, Adoption):
            return entry if entry.kind != "model" and entry.cohort == self.cohort else None
        if isinstance(entry, Introduction):
            mine = entry.payload["family"] == self.cohort
            (self.devices.add if mine else self.devices.discard)(entry.payload["device_id"])
            return entry if mine else None
        return self._batch(entry)

    def _batch(self, batch: Batch) -> Batch | None:
        known = np.array(sorted(self.devices), dtype=np.int64)
        frames = [chosen_rows(rows, np.isin(rows.device, known)) for rows in batch.frames]
        kept = replace(
            batch,
            frames=tuple(rows for rows in frames if len(rows.device)),
            events=tuple(e for e in batch.events if e.device in self.devices),
        )
        return kept if kept.frames or kept.events else None


class ShadowStore(ScoringStore):
    """The log and the outputs of one challenger; live scoring does not see them."""

    def __init__(self, connection: Connection, version: str, cohort: str) -> None:
        super().__init__(connection, consumer_of(version))
        self._view = View(version, cohort)
        self._begun = False

    def claim(self) -> bool:
        """Take this challenger; a new one begins where live scoring's last snapshot stands."""
        asked = {"consumer": self._consumer, "cohort": self._view.cohort}
        if not self._claimed():
            return False
        with transaction(self._connection, tenant=EVERY_TENANT):
            if self._connection.execute(_SQL["begun"], asked).fetchone() is None:
                self._connection.execute(_SQL["forget"], asked)
                self._connection.execute(_SQL["seed"], asked)
            self._connection.execute(_SQL["put_cursors"], asked)
        return True

    def load_snapshots(self) -> dict[int, dict[str, bytes]]:
        """Give the stored states; whoever restores them follows the challenger from there on."""
        states = super().load_snapshots()
        subjects = {subject for mine in states.values() for subject in mine}
        self._view.devices = {int(subject) for subject in subjects - {SHARED, SHARED_PRIORS}}
        self._begun = False
        return states

    def read(
        self, after: Mapping[int, int], *, limit: int, upto: Positions | None = None
    ) -> Stretch:
        """Give what is logged past `after`, as the challenger sees it."""
        stretch = super().read(after, limit=limit, upto=upto)
        if not stretch.ends:
            return stretch
        first = [] if self._begun else self._view.in_force(after)
        self._begun = True
        return Stretch((*first, *self._view.of(stretch.entries)), stretch.ends)

    def write(
        self, outputs: Outputs, ends: Positions, whose: Callable[[int], tuple[str, str]]
    ) -> None:
        """Commit what would have been said, and over which time, with the positions."""
        said = [prediction_row(one, whose) for one in outputs.predictions]
        with transaction(self._connection, tenant=EVERY_TENANT):
            self._put(_SQL["put_prediction"], [row | self._name() for row in said])
            self._put(_SQL["put_seen"], [row | self._name() for row in _seen(outputs, whose)])
            self._move("move_cursors", ends)

    def _name(self) -> dict[str, str]:
        return {"challenger": self._view.version}


def _seen(outputs: Outputs, whose: Callable[[int], tuple[str, str]]) -> list[dict[str, Any]]:
    """Give the time over which each device was evaluated."""
    spans: dict[int, tuple[int, int]] = {}
    for one in outputs.hazards:
        first, last = spans.get(one.device, (one.ts_ms, one.ts_ms))
        spans[one.device] = (min(first, one.ts_ms), max(last, one.ts_ms))
    return [
        {
            "device": device,
            "tenant": whose(device)[0],
            "since": to_datetime(first),
            "until": to_datetime(last),
        }
        for device, (first, last) in sorted(spans.items())
    ]
