"""Alerts in PostgreSQL; one object serves one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerting.notices import notices
from alerting.rows import (
    alert_columns,
    evaluation_of_anomaly,
    evaluation_of_event,
    evaluation_of_prediction,
)
from alerting.store import Due
from alerting.values import (
    AlertKind,
    AlertState,
    Context,
    Group,
    Life,
    Mute,
    Reason,
    Silence,
)
from foremend.db import Queries
from foremend.outbox import enqueue
from foremend.values import NO_FAULTS, PART_REPLACED, WELL_AGAIN, Phase, cleared

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import psycopg

    from alerting.values import Change, Evaluation

_SQL: Final = Queries.load("alerting", "alerts.sql")
LISTEN: Final = _SQL["listen"]
_UNREMARKABLE: Final = {
    Reason.STILL_ABOVE,
    Reason.STILL_RISING,
    Reason.STILL_BELOW,
    Reason.TOLD_AGAIN,
}


class PostgresAlerts:
    """The `AlertStore` of a transaction that serves every tenant."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._cursor = connection.cursor(row_factory=dict_row)

    def take(self, limit: int) -> list[Evaluation]:
        """Give the oldest unhandled rows; see `AlertStore`."""
        turn = self._cursor.execute(_SQL["turn"]).fetchone()
        if turn is None or not turn["mine"]:
            return []
        faults = self._rows("take_faults", limit=limit, no_faults=list(NO_FAULTS))
        predictions = self._rows("take_predictions", limit=limit - len(faults))
        anomalies = self._rows("take_anomalies", limit=limit - len(faults) - len(predictions))
        return [
            *map(evaluation_of_event, faults),
            *map(evaluation_of_prediction, predictions),
            *map(evaluation_of_anomaly, anomalies),
        ]

    def due(self) -> list[Due]:
        """Give open alerts that time may touch; none while another worker holds the turn."""
        turn = self._cursor.execute(_SQL["turn"]).fetchone()
        if turn is None or not turn["mine"]:
            return []
        return [Due(group=_group(row), now=row["now"]) for row in self._rows("due")]

    def standing(self, groups: Collection[Group]) -> dict[Group, AlertState]:
        """Give every open alert of the groups' devices, locked."""
        rows = self._rows(
            "standing",
            timelines=[g.timeline for g in groups],
            devices=[g.device_id for g in groups],
        )
        return {_group(row): _state(row) for row in rows}

    def surroundings(self, groups: Collection[Group]) -> dict[Group, Context]:
        """Give what stands around each group."""
        rows = self._of_groups("surroundings", groups)
        silences = self._silences({row["tenant"] for row in rows})
        contexts = {_group(row): _context(row, silences[row["tenant"]]) for row in rows}
        for row in self._aftermath([g for g in groups if g.kind is AlertKind.FAULT]):
            group, well_at = _group(row), tuple(row["well_at"])
            contexts[group] = replace(contexts[group], well_at=well_at, running=row["running"])
        return contexts

    def save(self, changes: Sequence[Change], handled: Sequence[Evaluation]) -> None:
        """Write changes in their order, tell who asked to be told, and mark rows as handled."""
        for quiet, run in groupby(changes, _unremarkable):
            if quiet:
                self._cursor.executemany(_SQL["keep"], [_columns(change) for change in run])
            else:
                for change in run:
                    self._write(change)
        predictions = [e.row_id for e in handled if e.group.kind is AlertKind.FAILURE]
        anomalies = [e.row_id for e in handled if e.group.kind is AlertKind.INSPECTION]
        faults = [e for e in handled if e.group.kind is AlertKind.FAULT]
        if predictions:
            self._cursor.execute(_SQL["predictions_handled"], {"ids": predictions})
        if anomalies:
            self._cursor.execute(_SQL["anomalies_handled"], {"ids": anomalies})
        if faults:
            self._cursor.execute(_SQL["faults_handled"], _events(faults))
        if changes:
            self._cursor.execute(_SQL["tell"])

    def _write(self, change: Change) -> None:
        (row,) = self._rows("open" if change.before is None else "move", **_columns(change))
        for notice in notices(row["id"], change):
            enqueue(
                self._connection,
                tenant=change.context.tenant,
                key=notice.key,
                event=notice.event,
                payload=notice.payload,
            )

    def _silences(self, tenants: Collection[str]) -> dict[str, tuple[Silence, ...]]:
        found: dict[str, tuple[Silence, ...]] = defaultdict(tuple)
        for row in self._rows("silences", tenants=list(tenants)):
            found[row.pop("tenant")] += (Silence(**row),)
        return found

    def _aftermath(self, faults: Collection[Group]) -> list[dict[str, Any]]:
        return self._of_groups(
            "aftermath",
            faults,
            ends=[cleared(g.failure_mode) for g in faults],
            well_again=list(WELL_AGAIN),
            part_replaced=PART_REPLACED,
            running=Phase.RUNNING.value,
        )

    def _of_groups(
        self, block: str, groups: Collection[Group], **more: object
    ) -> list[dict[str, Any]]:
        if not groups:
            return []
        return self._rows(
            block,
            timelines=[g.timeline for g in groups],
            devices=[g.device_id for g in groups],
            kinds=[g.kind.value for g in groups],
            components=[g.component for g in groups],
            failure_modes=[g.failure_mode for g in groups],
            **more,
        )

    def _rows(self, block: str, **parameters: object) -> list[dict[str, Any]]:
        return self._cursor.execute(_SQL[block], parameters).fetchall()


def _unremarkable(change: Change) -> bool:
    """Tell whether a change is worth no event and no notice: the same again, as loud as before."""
    return (
        change.before is not None
        and change.decision.reason in _UNREMARKABLE
        and change.before.muted_by is change.after.muted_by
    )


def _columns(change: Change) -> dict[str, Any]:
    return alert_columns(change) | {"params": Jsonb(change.params)}


def _events(faults: Sequence[Evaluation]) -> dict[str, Any]:
    return {
        "devices": [e.group.device_id for e in faults],
        "boots": [e.boot_id for e in faults],
        "seqs": [e.row_id for e in faults],
    }


def _group(row: dict[str, Any]) -> Group:
    return Group(
        timeline=row["timeline"],
        device_id=row["device_id"],
        kind=AlertKind(row["kind"]),
        component=row["component"],
        failure_mode=row["failure_mode"],
    )


def _state(row: dict[str, Any]) -> AlertState:
    return AlertState(
        life=Life(row["state"]),
        opened_at=row["opened_at"],
        updated_at=row["updated_at"],
        hits=row["hits"],
        misses=row["misses"],
        below_since=row["below_since"],
        fired_at=row["fired_at"],
        resolved_at=row["resolved_at"],
        muted_by=Mute(row["inhibited_by"]) if row["inhibited_by"] else None,
        told_at=row["told_at"],
    )


def _context(row: dict[str, Any], silences: tuple[Silence, ...]) -> Context:
    return Context(
        device=row["device"],
        tenant=row["tenant"],
        region=row["region"],
        org_node=row["org_node"],
        device_online=row["device_online"],
        open_work_order=row["open_work_order"],
        silences=silences,
    )
