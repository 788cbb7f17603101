"""The files that backtests write."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.orders import Order


def in_utc(instant_ms: int) -> str:
    """Return an instant in ISO 8601, zone included."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat()


def write_orders(path: Path, orders: Sequence[Order], when: Callable[[int], str] = in_utc) -> None:
    """Write orders.csv: device, component, opened, probability, top_reasons."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(("device", "component", "opened", "probability", "top_reasons"))
        for o in orders:
            reasons = ";".join(o.top_reasons)
            opened = when(o.opened_ms)
            out.writerow((o.device, o.component, opened, f"{o.probability:.4f}", reasons))
