"""Stretches of time in which something can be compared; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WEEK: Final = timedelta(days=7)
MONDAY: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""Nothing older is ever stored (ingest.plan), and it was a Monday, where sections begin."""
LAST: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """[since, until)."""

    since: datetime
    until: datetime


def weeks(whole: Window) -> Iterator[Window]:
    """Cut a window at the Mondays, so that no question is about more than a week."""
    since = whole.since
    while since < whole.until:
        monday = MONDAY + (since - MONDAY) // WEEK * WEEK + WEEK
        until = min(monday, whole.until)
        yield Window(since=since, until=until)
        since = until


def without(whole: Window, gone: Iterable[Window]) -> list[Window]:
    """Give what of a window lies in none of `gone`.

    >>> day = timedelta(days=1)
    >>> whole = Window(since=MONDAY, until=MONDAY + 3 * day)
    >>> left = without(whole, [Window(since=MONDAY, until=MONDAY + day)])
    >>> left == [Window(since=MONDAY + day, until=MONDAY + 3 * day)]
    True
    """
    left, since = [], whole.since
    for one in sorted(gone, key=lambda w: w.since):
        until = min(one.since, whole.until)
        if since < until:
            left.append(Window(since=since, until=until))
        since = max(since, one.until)
    if since < whole.until:
        left.append(Window(since=since, until=whole.until))
    return left
