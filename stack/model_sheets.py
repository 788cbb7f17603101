"""What is known of models, as tables that a person reads; values in, tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from foremend.clock import to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from api.model_versions import ModelVersion
    from models.trials.promotion import Figures

HELD_OUT: Final = "later_slices"
UNKNOWN: Final = "-"


def held_out(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a model was worth on what its training held out."""
    told: dict[str, Any] = (meta.get("metrics") or {}).get(HELD_OUT) or {}
    return told


def listing(models: Sequence[ModelVersion]) -> Table:
    """One line a version: champions, shadows, then the retired."""
    table = _table("version", "kind", "family", "stage", "made", "labels", "precision", "recall")
    table.add_column("lead")
    for one in models:
        told = held_out(one.meta)
        table.add_row(
            one.version,
            one.kind,
            one.cohort,
            one.stage,
            f"{one.created_at:%Y-%m-%d %H:%M}",
            str(sum((one.meta.get("failures") or {}).values()) or UNKNOWN),
            _share(told.get("precision")),
            _share(told.get("event_recall")),
            _hours(told.get("median_lead_h")),
        )
    return table


def sheet(model: ModelVersion) -> Table:
    """Everything that is known of one version, by name."""
    table = _table("", model.version)
    meta = model.meta
    told: dict[str, Any] = {
        "kind": model.kind,
        "family": model.cohort,
        "stage": model.stage,
        "made": f"{model.created_at:%Y-%m-%d %H:%M:%S}",
        "promoted": f"{model.promoted_at:%Y-%m-%d %H:%M:%S}" if model.promoted_at else None,
        "replaces": model.replaces,
        "learnt from": _spread(meta.get("source")),
        "data from": _moment(meta.get("since_ms")),
        "data until": _moment(meta.get("until_ms")),
        "known by": _moment(meta.get("known_by_ms")),
        "labels": _spread(meta.get("labels")),
        "failures": _spread(meta.get("failures")),
        "in force at training": meta.get("parent"),
        "held out": "; ".join(f"{name} {value}" for name, value in _figures(held_out(meta))),
        "thresholds": _spread((meta.get("metrics") or {}).get("thresholds")),
        "plan": _spread((meta.get("metrics") or {}).get("plan")),
        "code": meta.get("code"),
        "libraries": _spread(meta.get("libraries")),
        "signed by": model.kid,
        "sha256": model.sha256,
        "size": f"{model.bytes / 1024:.0f} KiB",
    }
    for name, value in told.items():
        if value not in (None, ""):
            table.add_row(name, str(value))
    return table


def beside(one: ModelVersion, other: ModelVersion) -> Table:
    """Two versions by what their trainings held out."""
    table = _table("held out in training", one.version, other.version)
    left, right = (dict(_figures(held_out(m.meta))) for m in (one, other))
    for name in left | right:
        table.add_row(name, left.get(name, UNKNOWN), right.get(name, UNKNOWN))
    return table


def trial(in_force: Figures, shadow: Figures, version: str) -> Table:
    """What was in force and a challenger by what live data showed of both."""
    table = _table("on live data", "in force", version)
    for name, tell in _TRIAL.items():
        table.add_row(name, tell(in_force), tell(shadow))
    return table


def _figures(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not told:
        return []
    return [
        ("precision", _share(told.get("precision"))),
        ("recall", _share(told.get("event_recall"))),
        ("median lead", _hours(told.get("median_lead_h"))),
        ("false per 100 weeks", _number(told.get("false_per_100_machine_weeks"))),
        ("failures", str(told.get("failures", UNKNOWN))),
    ]


_TRIAL: Final[Mapping[str, Callable[[Figures], str]]] = {
    "device-weeks": lambda f: f"{f.device_weeks:.1f}",
    "failures found": lambda f: str(f.findings),
    "would-be orders": lambda f: f"{f.orders} ({f.undecided} more undecided)",
    "right": lambda f: str(f.true_orders),
    "false per 100 weeks": lambda f: f"{f.burden:.1f}",
    "failures foreseen": lambda f: str(f.foreseen),
    "median lead": lambda f: _hours(f.median_lead_h),
}


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _share(told: Mapping[str, Any] | None) -> str:
    if not told or told.get("value") is None:
        return UNKNOWN
    return f"{told['value']:.2f} ({told['hits']} of {told['total']})"


def _hours(hours: float | None) -> str:
    return UNKNOWN if hours is None else f"{hours:.1f} h"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"


def _moment(ms: int | None) -> str | None:
    return None if ms is None else f"{to_datetime(ms):%Y-%m-%d %H:%M}"


def _spread(told: Mapping[str, Any] | None) -> str | None:
    return ", ".join(f"{k} {_short(v)}" for k, v in told.items()) if told else None


def _short(value: Any) -> str:  # noqa: ANN401 - JSON is of any type
    return f"{value:.3g}" if isinstance(value, float) else str(value)
