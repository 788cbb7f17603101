"""Between rows of the database and alerting's values; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from alerting.values import AlertKind, Evaluation, Group, Word

if TYPE_CHECKING:
    from alerting.values import Change

_WORDS: Final = {"alarm": Word.ABOVE, "cleared": Word.BELOW, "drift": Word.DRIFT}


def evaluation_of_prediction(row: dict[str, Any]) -> Evaluation:
    """Read a row of `prediction`."""
    return Evaluation(
        row_id=row["row_id"],
        tenant=row["tenant"],
        group=Group(
            timeline=row["timeline"],
            device_id=row["device_id"],
            kind=AlertKind.FAILURE,
            component=row["component"],
            failure_mode=row["failure_mode"],
        ),
        ts=row["ts"],
        word=Word.ABOVE if row["above"] else Word.BELOW,
        probability=row["probability"],
        threshold=row["threshold"],
        horizon_h=row["horizon_h"],
        p10_h=row["p10_h"],
        p50_h=row["p50_h"],
        p90_h=row["p90_h"],
        evidence=tuple(row["reasons"]),
        model_version=row["model_version"],
    )


def evaluation_of_anomaly(row: dict[str, Any]) -> Evaluation:
    """Read a row of `anomaly`; a device has one inspection alert, whatever its channels."""
    return Evaluation(
        row_id=row["row_id"],
        tenant=row["tenant"],
        group=Group(
            timeline=row["timeline"], device_id=row["device_id"], kind=AlertKind.INSPECTION
        ),
        ts=row["ts"],
        word=_WORDS[row["kind"]],
        evidence=tuple(_reasons(row)),
    )


def evaluation_of_event(row: dict[str, Any]) -> Evaluation:
    """Read a critical event: the device's own word, which needs no second one."""
    return Evaluation(
        row_id=row["seq"],
        boot_id=row["boot_id"],
        tenant=row["tenant"],
        group=Group(
            timeline=row["timeline"],
            device_id=row["device_id"],
            kind=AlertKind.FAULT,
            component=row["component"] or "",
            failure_mode=row["code"],
        ),
        ts=row["ts"],
        word=Word.ABOVE,
        evidence=(
            {
                "kind": "told_by_device",
                "subject": row["code"],
                "weight": 1.0,
                "parameters": row["details"],
            },
        ),
    )


def _reasons(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Say why in the form that predictions use: the channels by their share, else the score."""
    ranked = row["evidence"].get("channels", [])
    if ranked:
        return [_deviating(channel) for channel in ranked]
    told = {"score": row["score"]} | row["evidence"]
    return [
        {
            "kind": "anomaly",
            "subject": row["top_channel"] or "",
            "weight": 1.0,
            "parameters": {name: value for name, value in told.items() if name != "channels"},
        }
    ]


def _deviating(channel: dict[str, Any]) -> dict[str, Any]:
    now, usual = channel["now"], channel["baseline"]
    told = {"now": now, "usual": usual}
    if now is not None and usual:
        told["change_percent"] = 100.0 * (now - usual) / abs(usual)
    return {
        "kind": "channel_deviates",
        "subject": channel["channel"],
        "weight": channel["contribution"],
        "parameters": told,
    }


def alert_columns(change: Change) -> dict[str, Any]:
    """Give the parameters that write a change to `alert` and `alert_event`."""
    return _identity(change) | _life(change) | _evidence(change)


def _identity(change: Change) -> dict[str, Any]:
    group, context = change.group, change.context
    return {
        "tenant": context.tenant,
        "timeline": group.timeline,
        "region": context.region,
        "org_node": context.org_node,
        "device_id": group.device_id,
        "kind": group.kind.value,
        "component": group.component,
        "failure_mode": group.failure_mode,
    }


def _life(change: Change) -> dict[str, Any]:
    after = change.after
    return {
        "state": after.life.value,
        "muted_by": after.muted_by.value if after.muted_by else None,
        "hits": after.hits,
        "misses": after.misses,
        "below_since": after.below_since,
        "opened_at": after.opened_at,
        "fired_at": after.fired_at,
        "updated_at": after.updated_at,
        "resolved_at": after.resolved_at,
        "told_at": after.told_at,
        "at": change.at,
        "action": change.decision.action.value,
        "reason": change.decision.reason.value,
    }


def _evidence(change: Change) -> dict[str, Any]:
    seen = change.evaluation
    names = ("probability", "horizon_h", "p10_h", "p50_h", "p90_h", "model_version")
    is_prediction = seen is not None and change.group.kind is AlertKind.FAILURE
    return {name: getattr(seen, name, None) for name in names} | {
        "above": seen is not None and seen.word is Word.ABOVE,
        "prediction_id": seen.row_id if seen and is_prediction else None,
        "evidence": Jsonb(list(seen.evidence) if seen else []),
    }
