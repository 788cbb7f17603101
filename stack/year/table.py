"""A year's figures as a person would read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

_POLICIES: Final = {
    "foremend": "foremend",
    "run_to_failure": "run to failure",
    "calendar": "by the calendar",
}
_WHOLE_FROM: Final = 1000
"""From here on a tenth tells nothing."""


def tables(figures: dict[str, Any]) -> list[Table]:
    """Lay out the policies side by side, and the quarters of the whole system."""
    return [_policies(figures), _quarters(figures["quarters"])]


def _policies(figures: dict[str, Any]) -> Table:
    terms = figures["terms"]
    title = f"{terms['devices']} devices over {terms['days']:g} simulated days"
    headings = ("failures", "foreseen", "missed", "false\norders", "lead h", "down h")
    laid = _table(title, "policy", (*headings, f"cost\n{terms['currency']}"))
    for policy, name in _POLICIES.items():
        laid.add_row(name, *map(_cell, figures[policy].values()))
    return laid


def _quarters(quarters: list[dict[str, float | None]]) -> Table:
    laid = _table("Foremend by quarters", "quarter", ("precision", "recall", "lead h"))
    for number, told in enumerate(quarters, start=1):
        laid.add_row(str(number), *map(_cell, told.values()))
    return laid


def _table(title: str, first: str, others: Iterable[str]) -> Table:
    # Eighty columns must do.
    laid = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    laid.add_column(first, no_wrap=True)
    for heading in others:
        laid.add_column(heading, justify="right", no_wrap=True)
    return laid


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value <= 1.0 else f"{value:,.1f}"
