"""Answers to orders, within the bounds of the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.wire import Details, Scalar

MOST: Final = 60
"""Answers; the wire carries 64."""
MOST_TEXT: Final = 200
"""Characters of each."""


def fitting(told: Mapping[str, object]) -> Details:
    """Keep what can be told: the first answers, each short; what is not known is left out.

    >>> fitting({"version": "1.11.8", "error": None, "load": 0.123456})
    {'version': '1.11.8', 'load': 0.1235}
    """
    known = {key[:64]: _scalar(value) for key, value in told.items() if value not in (None, "")}
    return dict(list(known.items())[:MOST])


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool | int):
        return value
    return round(value, 4) if isinstance(value, float) else str(value)[:MOST_TEXT]
