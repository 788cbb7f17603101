"""The engine's reading and writing: log entries, outputs with their position, snapshots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psycopg.types.json import Jsonb

from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Queries, transaction
from models.scoring.entries import Adoption, Batch, Entry, EventRow, FrameRows, Introduction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from foremend.db import Connection
    from models.scoring.entries import Anomaly, Hazard, Health, Outputs, Prediction

_SQL: Final = Queries.load("models.scoring", "scoring.sql")

Positions = dict[int, int]
"""A log position per partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursors:
    """How far outputs were written, and where the stored states stand."""

    output: Positions
    snapshot: Positions


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some entries of the log, and the positions at which they end."""

    entries: tuple[Entry, ...]
    ends: Positions


class ScoringStore:
    """One consumer's view of the log over one connection; at most one process a consumer."""

    def __init__(self, connection: Connection, consumer: str = "live") -> None:
        self._connection = connection
        self._consumer = consumer

    def claim(self) -> bool:
        """Take this consumer for this connection; False where another process has it."""
        claimed = self._claimed()
        self._connection.execute(_SQL["put_cursors"], {"consumer": self._consumer})
        self._connection.execute(_SQL["listen"])
        return claimed

    def cursors(self) -> Cursors:
        """Give both watermarks of every partition."""
        rows = self._connection.execute(_SQL["cursors"], {"consumer": self._consumer}).fetchall()
        return Cursors(output={p: o for p, o, _ in rows}, snapshot={p: s for p, _, s in rows})

    def read(
        self, after: Mapping[int, int], *, limit: int, upto: Positions | None = None
    ) -> Stretch:
        """Give at most `limit` entries a partition past `after`, none past `upto`."""
        ordered = sorted(after)
        found = self._connection.execute(
            _SQL["entries"],
            {"partitions": ordered, "positions": [after[p] for p in ordered], "limit": limit},
        ).fetchall()
        rows = [r for r in found if upto is None or r[1] <= upto[r[0]]]
        batches = self._batches([r for r in rows if r[3] is not None])
        entries = tuple(_entry(row, batches) for row in rows)
        return Stretch(entries, {partition: pos for partition, pos, *_ in rows})

    def behind(self, at: Positions) -> int:
        """Give the number of logged entries past `at`."""
        ordered = sorted(at)
        row = self._connection.execute(
            _SQL["behind"], {"partitions": ordered, "positions": [at[p] for p in ordered]}
        ).fetchone()
        return int(row[0]) if row is not None else 0

    def write(
        self, outputs: Outputs, ends: Positions, whose: Callable[[int], tuple[str, str]]
    ) -> None:
        """Commit outputs and the positions that they follow from, together."""
        with transaction(self._connection, tenant=EVERY_TENANT):
            self._many("put_health", [_health(one) for one in outputs.health])
            self._many("put_anomaly", [_anomaly(one, whose) for one in outputs.anomalies])
            latest = {(h.device, h.component, h.failure_mode): h for h in outputs.hazards}
            self._many("put_hazard", [_hazard(one) for one in latest.values()])
            self._many(
                "put_prediction", [prediction_row(one, whose) for one in outputs.predictions]
            )
            self._move("move_cursors", ends)
            if outputs.predictions or outputs.anomalies:
                self._connection.execute(_SQL["notify"])

    def load_snapshots(self) -> dict[int, dict[str, bytes]]:
        """Give the stored states by partition and subject."""
        states: dict[int, dict[str, bytes]] = {}
        for partition, subject, state in self._connection.execute(
            _SQL["snapshots"], {"consumer": self._consumer}
        ):
            states.setdefault(partition, {})[subject] = bytes(state)
        return states

    def save_snapshots(self, states: Mapping[int, Mapping[str, bytes]], at: Positions) -> None:
        """Store states and the positions at which they stand, together."""
        rows = [
            {"consumer": self._consumer, "partition": p, "subject": subject, "state": state}
            for p, subjects in states.items()
            for subject, state in subjects.items()
        ]
        with transaction(self._connection, tenant=EVERY_TENANT):
            self._many("put_snapshot", rows)
            self._move("move_snapshots", at)

    def wait(self, seconds: float) -> None:
        """Return when ingest says that there is more, or after `seconds`."""
        for _ in self._connection.notifies(timeout=seconds, stop_after=1):
            return

    def _batches(self, rows: Sequence[tuple[Any, ...]]) -> dict[tuple[int, int], Batch]:
        """Load the frames and events of the batches that `rows` name, by (batch, partition)."""
        wanted = {(row[3], row[0]) for row in rows}
        ids = {"batches": sorted({batch for batch, _ in wanted})}
        with transaction(self._connection, tenant=EVERY_TENANT):
            frames = self._connection.execute(_SQL["frames"], ids, binary=True).fetchall()
            events = self._connection.execute(_SQL["events"], ids).fetchall()
        frames_of = grouped(frames)
        events_of = grouped(events)
        return {
            key: batch_of(key[1], frames_of.get(key, []), events_of.get(key, [])) for key in wanted
        }

    def _move(self, block: str, ends: Positions) -> None:
        ordered = sorted(ends)
        self._connection.execute(
            _SQL[block],
            {
                "consumer": self._consumer,
                "partitions": ordered,
                "positions": [ends[p] for p in ordered],
            },
        )

    def _claimed(self) -> bool:
        row = self._connection.execute(_SQL["lock"], {"consumer": self._consumer}).fetchone()
        return row is not None and bool(row[0])

    def _many(self, block: str, rows: Sequence[dict[str, Any]]) -> None:
        self._put(_SQL[block], rows)

    def _put(self, statement: bytes, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self._connection.cursor().executemany(statement, rows)


def announce(connection: Connection, *, kind: str, cohort: str, version: str) -> None:
    """Log, for every partition, that devices of `cohort` follow `version` from here on."""
    payload = Jsonb({"cohort": cohort, "version": version})
    with transaction(connection, tenant=EVERY_TENANT):
        heads = connection.execute(_SQL["heads_for_adoption"]).fetchall()
        rows = [{"partition": p, "pos": pos, "kind": kind, "payload": payload} for p, pos in heads]
        connection.cursor().executemany(_SQL["put_adoption"], rows)
        connection.execute(_SQL["notify_input"])


def _entry(row: tuple[Any, ...], batches: Mapping[tuple[int, int], Batch]) -> Entry:
    partition, _, kind, batch_id, payload = row
    if kind == "batch":
        return batches[batch_id, partition]
    if kind == "birth":
        return Introduction(partition=partition, payload=payload)
    return Adoption(
        partition=partition, kind=kind, cohort=payload["cohort"], version=payload["version"]
    )


def grouped(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, int], list[tuple[Any, ...]]]:
    """Give rows by batch and partition, in their order."""
    groups: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row[:2], []).append(row)
    return groups


def batch_of(
    partition: int, frames: Sequence[tuple[Any, ...]], events: Sequence[tuple[Any, ...]]
) -> Batch:
    """Make a batch of rows as the blocks `frames` and `events` give them, in their order."""
    keys = sorted({r[2:5] for r in (*frames, *events)})
    ranks = dict(zip(keys, range(len(keys)), strict=True))
    by_width = groupby(sorted(frames, key=_width), key=_width)
    return Batch(
        partition=partition,
        frames=tuple(_frame_rows(list(rows), ranks) for _, rows in by_width),
        events=tuple(
            EventRow(
                device=r[2],
                rank=ranks[r[2:5]],
                ts_ms=r[5],
                code=r[6],
                severity=r[7],
                component=r[8],
            )
            for r in events
        ),
    )


def _width(row: tuple[Any, ...]) -> int:
    return len(row[9])


def _frame_rows(rows: list[tuple[Any, ...]], ranks: Mapping[tuple[Any, ...], int]) -> FrameRows:
    _, _, device, boot, seq, ts_ms, schema, phase, quality, values = zip(*rows, strict=True)
    width = len(values[0])
    flat = np.fromiter(chain.from_iterable(values), np.float64, width * len(values))
    return FrameRows(
        device=np.array(device, dtype=np.int64),
        rank=np.array([ranks[key] for key in zip(device, boot, seq, strict=True)], dtype=np.int64),
        ts_ms=np.array(ts_ms, dtype=np.int64),
        schema=np.array(schema, dtype=np.int64),
        phase=np.array(phase, dtype=np.int64),
        quality=np.array(quality, dtype=np.int64),
        values=flat.reshape(-1, width),
    )


def _health(one: Health) -> dict[str, Any]:
    return {
        "device": one.device,
        "ts": to_datetime(one.ts_ms),
        "score": one.score,
        "anomalous": one.anomalous,
        "top_channel": one.top_channel,
        "second_opinion": one.second_opinion,
    }


def _anomaly(one: Anomaly, whose: Callable[[int], tuple[str, str]]) -> dict[str, Any]:
    tenant, timeline = whose(one.device)
    return {
        "device": one.device,
        "tenant": tenant,
        "timeline": timeline,
        "kind": one.kind,
        "ts": to_datetime(one.ts_ms),
        "score": one.score,
        "top_channel": one.top_channel,
        "evidence": Jsonb(_finite(one.evidence)),
    }


def _hazard(one: Hazard) -> dict[str, Any]:
    low, middle, high = one.band_h
    return {
        "device": one.device,
        "component": one.component,
        "failure_mode": one.failure_mode,
        "ts": to_datetime(one.ts_ms),
        "probability": _finite(one.probability),
        "horizon_h": one.horizon_h,
        "p10_h": low,
        "p50_h": middle,
        "p90_h": high,
        "version": one.version,
        "abstained": one.abstained,
    }


def prediction_row(one: Prediction, whose: Callable[[int], tuple[str, str]]) -> dict[str, Any]:
    """Give a prediction as a row; where a model that had foreseen something abstains, 0 is left."""
    tenant, timeline = whose(one.hazard.device)
    told = _hazard(one.hazard)
    return told | {
        "probability": told["probability"] or 0.0,
        "tenant": tenant,
        "timeline": timeline,
        "above": one.above,
        "threshold": one.threshold,
        "reasons": Jsonb(_finite(list(one.reasons))),
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Turn what is not a finite number into null: JSON knows no other word for unknown."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
