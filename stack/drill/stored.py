"""Reads what the database holds of a drill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foremend import values
from foremend.db import EVERY_TENANT, Queries, connect, transaction
from stack.drill.host import EVENT_CODE, NUMBER, hash_of
from stack.drill.verdict import Found, Gap, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.db import Connection

_SQL: Final = Queries.load("stack.drill", "drill.sql")


def read_stored(url: str, tenant: str) -> Stored:
    """Read a tenant's frames, events and gaps in one transaction.

    Raises:
        Unavailable: the database does not answer.
    """
    with connect(url, name="drill") as link, transaction(link, tenant=EVERY_TENANT):
        found = (*_frames(link, tenant), *_events(link, tenant))
        gaps = tuple(
            Gap(device=device, boot=boot, first=first, end=end, reason=reason)
            for device, boot, first, end, reason in link.execute(_SQL["gaps"], {"tenant": tenant})
        )
        return Stored(found=found, gaps=gaps, unnumbered_gaps=_unnumbered(link, tenant))


def scoring_lag(url: str) -> int | None:
    """Give how many log entries live scoring has still to tell of; None before it has begun.

    Raises:
        Unavailable: the database does not answer.
    """
    with connect(url, name="drill") as link, transaction(link, tenant=EVERY_TENANT):
        row = link.execute(_SQL["scoring_lag"]).fetchone()
    return None if row is None else row[0]


def _frames(link: Connection, tenant: str) -> Iterator[Found]:
    for device, _, _, vals in link.execute(_SQL["frames"], {"tenant": tenant}):
        yield Found(reading=(device, int(vals[0])), hash=hash_of(vals))


def _events(link: Connection, tenant: str) -> Iterator[Found]:
    for device, _, _, code, details in link.execute(_SQL["events"], {"tenant": tenant}):
        if code == EVENT_CODE:
            yield Found(reading=(device, details[NUMBER]), hash="")


def _unnumbered(link: Connection, tenant: str) -> int:
    rows = link.execute(_SQL["events"], {"tenant": tenant})
    return sum(code == values.GAP and "first" not in details for *_, code, details in rows)
