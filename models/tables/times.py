"""Instants as files write them: ISO 8601, day/month/year forms, and counts since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_MS: Final = 86_400_000
_BARE_DAY: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_FORMS: Final = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
)
_COUNT: Final = re.compile(r"\d+(\.\d+)?")
_MILLISECONDS_FROM: Final = 1e11
"""Counts from here on are milliseconds: as seconds they would lie after the year 5138."""


class NotATime(ValueError):
    """This text is no time that we know."""


def reader() -> Callable[[str], int]:
    """Return a function from text to milliseconds since the epoch; what has no zone is UTC.

    It remembers what it has read: in a fleet's table most times stand many times.
    Raises `NotATime`.
    """
    known: dict[str, int] = {}

    def read(text: str) -> int:
        if text not in known:
            known[text] = instant_ms(text.strip())
        return known[text]

    return read


def instant_ms(text: str) -> int:
    """Return one instant in milliseconds since the epoch.

    >>> instant_ms("2015-01-01 06:00:00") == instant_ms("1/1/2015 6:00:00 AM") == 1420092000000
    True
    """
    if _COUNT.fullmatch(text):
        count = float(text)
        return round(count if count >= _MILLISECONDS_FROM else count * 1000.0)
    moment = _moment(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def told_like(text: str, instant_ms: int) -> str:
    """Return an instant as a file would write it that writes `text`: with a zone, or without."""
    moment = datetime.fromtimestamp(instant_ms / 1000, UTC)
    zoned = _COUNT.fullmatch(text.strip()) is not None or _moment(text.strip()).tzinfo is not None
    return moment.isoformat() if zoned else moment.replace(tzinfo=None).isoformat(sep=" ")


def is_bare_day(text: str) -> bool:
    """Tell whether a text names a day without a time of day."""
    return _BARE_DAY.fullmatch(text.strip()) is not None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        for form in _FORMS:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 - made UTC by the caller
            except ValueError:
                continue
    raise NotATime(f"{text!r} is not a time")
