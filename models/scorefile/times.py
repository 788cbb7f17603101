"""How a file writes its times: found out on a sample, then read strictly.

Times without a zone are taken to be UTC. Numbers are seconds, milliseconds, microseconds or
nanoseconds since the epoch by their size; small ones are seconds since some beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Final

ReadTime = Callable[[str], int]
"""Milliseconds since the epoch; raises ValueError."""

YEARS: Final = range(1900, 2201)
CENTURY_FROM: Final = 70
"""Two-digit years from here on are of the last century."""
NOON: Final = 12
_LARGEST: Final = 1e20
_FULL_YEAR: Final = 4

_COMPACT: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SCALES: Final = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0))
"""From which size on a number is in nano-, micro- or milliseconds."""
_NAMED: Final = tuple(
    f"{date}{clock}"
    for date in ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%b %d %Y", "%B %d, %Y")
    for clock in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
)
_PARTS = re.compile(
    r"(?P<date>\d{1,4}[./-]\d{1,2}[./-]\d{1,4})"
    r"(?:[ T,]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_ORDERS: Final = {
    ".": ((2, 1, 0), (2, 0, 1)),
    "-": ((2, 1, 0), (2, 0, 1)),
    "/": ((2, 0, 1), (2, 1, 0)),
}
"""Where year, month and day stand if the year is not first; by mark, the more usual one first."""


def time_reader(sample: Sequence[str]) -> ReadTime | None:
    """Give what reads every one of these times; None where nothing does."""
    if not sample:
        return iso
    fitting = [read for read in _candidates(sample) if _reads_all(read, sample)]
    return min(fitting, key=partial(_restless, sample=sample), default=None)


def iso(text: str) -> int:
    """Read ISO 8601. Raises ValueError."""
    return _ms(datetime.fromisoformat(text.strip()))


def _candidates(sample: Sequence[str]) -> list[ReadTime]:
    first = sample[0].strip()
    if all(_is_number(text) for text in sample):
        compact: ReadTime = partial(_by_format, form=_COMPACT.get(len(first), "%Y"))
        largest = max(abs(_plain(text)) for text in sample)
        dated = len(first) in _COMPACT and _reads_all(compact, sample)
        return [compact if dated else partial(_by_scale, scale=_scale(largest))]
    parts = _PARTS.fullmatch(first)
    orders = [] if parts is None else [(0, 1, 2), *_ORDERS[_mark(parts["date"])]]
    ordered: list[ReadTime] = [partial(_by_order, order=order) for order in orders]
    named_months: list[ReadTime] = [partial(_by_format, form=form) for form in _NAMED]
    return [iso, *ordered, *named_months]


def _reads_all(read: ReadTime, sample: Sequence[str]) -> bool:
    try:
        for text in sample:
            read(text)
    except ValueError:
        return False
    return True


def _restless(read: ReadTime, sample: Sequence[str]) -> tuple[int, int]:
    """How often time runs backwards under a reading, and how far it goes in all."""
    times = [read(text) for text in sample]
    steps = [later - earlier for earlier, later in pairwise(times)]
    return sum(step < 0 for step in steps), sum(abs(step) for step in steps)


def _is_number(text: str) -> bool:
    try:
        _plain(text)
    except ValueError:
        return False
    return True


def _plain(text: str) -> float:
    value = float(text.strip().replace(",", "."))
    if not abs(value) < _LARGEST:
        raise ValueError(text)
    return value


def _scale(size: float) -> float:
    return next((scale for least, scale in _SCALES if size >= least), 1000.0)


def _by_scale(text: str, scale: float) -> int:
    return round(_plain(text) * scale)


def _by_format(text: str, form: str) -> int:
    found = datetime.strptime(text.strip(), form)  # noqa: DTZ007 - UTC in _ms
    if found.year not in YEARS:
        raise ValueError(text)
    return _ms(found)


def _mark(date: str) -> str:
    return next(mark for mark in date if not mark.isdigit())


def _by_order(text: str, order: tuple[int, int, int]) -> int:
    """Read a date whose year, month and day stand at these places, and a time of day if any."""
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        raise ValueError(text)
    pieces = re.split(r"[./-]", parts["date"])
    year, month, day = (int(pieces[place]) for place in order)
    full = len(pieces[order[0]]) == _FULL_YEAR
    if order[0] == 0 and not full:
        raise ValueError(text)
    if not full:
        year += 1900 if year >= CENTURY_FROM else 2000
    fraction = int((parts["f"] or "0").ljust(6, "0")[:6])
    clock = (_hour(parts), int(parts["m"] or 0), int(parts["s"] or 0), fraction)
    return _ms(datetime(year, month, day, *clock, tzinfo=UTC))


def _hour(parts: re.Match[str]) -> int:
    hour = int(parts["h"] or 0)
    if parts["half"] is None:
        return hour
    if not 1 <= hour <= NOON:
        raise ValueError(parts.string)
    return hour % NOON + (NOON if parts["half"] in "Pp" else 0)


def _ms(moment: datetime) -> int:
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(known.timestamp() * 1000)
