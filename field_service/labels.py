"""Findings as labels for training, never more than was known at the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from field_service.values import Verified
from foremend.db import Queries
from foremend.values import AsFound

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

_SQL: Final = Queries.load("field_service", "labels.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One finding as training reads it.

    `failed`: the component's life ended with a failure at `occurred_at`. `censored`: it ended
    there without one being known. Neither: somebody looked, found nothing and changed nothing.
    """

    tenant: str
    timeline: str
    device_id: int
    device: str
    family: str
    component: str
    failure_mode: str
    as_found: AsFound
    replaced: bool
    verified: Verified | None
    occurred_at: datetime
    known_at: datetime
    failed: bool
    censored: bool
    work_order_id: int
    attempt: int


def labels(
    connection: psycopg.Connection[Any], *, known_by: datetime, timeline: str | None = None
) -> list[Label]:
    """Give what was known by then, in the order in which it became known."""
    cursor = connection.cursor(row_factory=dict_row)
    parameters = {"known_by": known_by, "timeline": timeline}
    return [_label(row) for row in cursor.execute(_SQL["labels"], parameters)]


def outcome(as_found: AsFound, *, replaced: bool, verified: Verified | None) -> tuple[bool, bool]:
    """Give (failed, censored) of a finding: the rule that the view `failure_label` holds in SQL.

    A preventive replacement that found nothing says only that the part had not failed until
    then. A repair that did not bring recovery leaves open whether the part was to blame.
    """
    faulty = as_found is not AsFound.NO_FAULT_FOUND
    unconfirmed = verified is Verified.NOT_RECOVERED
    return faulty and not unconfirmed, (faulty and unconfirmed) or (not faulty and replaced)


def _label(row: dict[str, Any]) -> Label:
    verified = Verified(row["verified"]) if row["verified"] else None
    return Label(**row | {"as_found": AsFound(row["as_found"]), "verified": verified})
