"""What field service counts, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

OPENED: Final = Counter("foremend_work_orders_opened_total", "Work orders opened", ["strategy"])
MOVED: Final = Counter(
    "foremend_work_orders_moved_total", "Work orders moved by time or telemetry", ["state"]
)
