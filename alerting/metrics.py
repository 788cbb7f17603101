"""What alerting counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alerting.values import Change

CHANGES: Final = Counter(
    "foremend_alert_changes_total", "Steps of alerts, by action and reason", ["action", "reason"]
)
DELIVERIES: Final = Counter(
    "foremend_deliveries_total", "Tries to deliver a notice, by outcome", ["verdict", "reason"]
)


def count(changes: Iterable[Change]) -> None:
    """Count steps that are about to be committed; what fails then is counted again later."""
    for change in changes:
        CHANGES.labels(change.decision.action.value, change.decision.reason.value).inc()
