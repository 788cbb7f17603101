"""What the outside is told about an alert; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alerting.values import AlertKind, Life, Mute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerting.values import AlertState, Change

FIRED: Final = "alert.fired"
RESOLVED: Final = "alert.resolved"


class Notice(NamedTuple):
    """One event for the outbox; the key stays the same however often it is written."""

    key: str
    event: str
    payload: dict[str, Any]


def notices(alert_id: int, change: Change) -> Iterator[Notice]:
    """Give what a change tells: a beginning once, and the end of what had been told."""
    if change.told:
        yield Notice(f"alert-{alert_id}-fired", FIRED, _payload(alert_id, change))
    if change.after.life is Life.RESOLVED and _heard(change.before):
        yield Notice(f"alert-{alert_id}-resolved", RESOLVED, _payload(alert_id, change))


def _heard(before: AlertState | None) -> bool:
    return (
        before is not None
        and before.told_at is not None
        and before.muted_by in {None, Mute.OPEN_WORK_ORDER}
    )


def _payload(alert_id: int, change: Change) -> dict[str, Any]:
    group, seen = change.group, change.evaluation
    told: dict[str, Any] = {
        "alert": alert_id,
        "kind": group.kind.value,
        "device": change.context.device,
        "component": group.component or None,
        "failure_mode": group.failure_mode or None,
        "region": change.context.region or None,
        "timeline": group.timeline,
        "state": change.after.life.value,
        "reason": change.decision.reason.value,
        "at": change.at.isoformat(),
    }
    if group.kind is AlertKind.FAULT:
        told |= {"failure_mode": None, "code": group.failure_mode}
        return told | ({"evidence": list(seen.evidence)} if seen else {})
    if seen is not None:
        told |= {
            "probability": seen.probability,
            "horizon_h": seen.horizon_h,
            "hours_left": [seen.p10_h, seen.p50_h, seen.p90_h],
            "evidence": list(seen.evidence),
        }
    return told
