"""A prediction's reasons as rows that a page can show; pure.

A reason is `{kind, subject, weight, parameters}` as models write it. One of an unknown kind is
shown by its code and parameters rather than left out.
"""

# ruff: noqa: RUF001, RUF002 - typographic signs are what people read

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from api import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHANNEL: Final = "channel_deviates"
FEATURE: Final = "feature_deviates"
CODE: Final = "error_code"
AGE: Final = "component_age"
REPORT: Final = "told_by_device"
HAND_OVER: Final = "hand_over"
_OTHERS: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One reason in words."""

    kind: str
    subject: str
    now: str = ""
    usual: str = ""
    detail: str = ""
    weight: float = 0.0
    """Between 0 and 1, relative to the strongest."""
    channel: str | None = None
    """The channel's own name, where it speaks of one."""
    source: str = ""
    """Where the signature library has it from; empty for what a model learnt."""


def rows(reasons: Iterable[Mapping[str, Any]], units: Mapping[str, str]) -> list[Row]:
    """Give one row a reason; `units` holds the UCUM code of each channel."""
    listed = [dict(reason) for reason in reasons]
    weights = [_number(reason.get("weight")) or 0.0 for reason in listed]
    most = max(weights, default=0.0)
    return [
        _row(reason, units, weight / most if most > 0 else 0.0)
        for reason, weight in zip(listed, weights, strict=True)
    ]


def headline(reasons: Iterable[Mapping[str, Any]]) -> str:
    """Give the strongest reason in a few words, for a line of the story.

    >>> headline([{"kind": "channel_deviates", "subject": "hotend_fan_rpm",
    ...            "parameters": {"change_percent": -31.0}}])
    'hot-end fan speed −31%'
    """
    first = next(iter(reasons), None)
    if first is None:
        return ""
    row = _row(dict(first), {}, 1.0)
    match row.kind:
        case "channel":
            change = _number(_parameters(dict(first)).get("change_percent"))
            return f"{row.subject} {wording.change(change)}" if change is not None else row.subject
        case "code":
            return f"code {row.subject}"
        case "age":
            return f"age {row.now}"
        case "report":
            return row.detail
    return row.subject


def _row(reason: dict[str, Any], units: Mapping[str, str], weight: float) -> Row:
    kind = reason.get("kind") or reason.get("code") or ""
    subject, values = str(reason.get("subject", "")), _parameters(reason)
    if kind == CHANNEL:
        return _channel(subject, values, units.get(subject), weight)
    if kind == FEATURE:
        unit, channel = str(values.get("unit") or ""), str(values.get("channel") or "")
        return replace(_channel(subject, values, unit, weight), channel=channel or None)
    if kind in _PLAIN:
        return _PLAIN[kind](subject, values, weight)
    if kind == HAND_OVER:
        return _hand_over(values)
    return Row(
        kind="other",
        subject=" ".join(wording.words(part) for part in (str(kind), subject) if part),
        detail=", ".join(f"{wording.words(k)} {v}" for k, v in values.items()),
        weight=weight,
    )


def _channel(name: str, values: dict[str, Any], unit: str | None, weight: float) -> Row:
    change, sigmas = _number(values.get("change_percent")), _number(values.get("sigmas"))
    told = (
        wording.change(change) if change is not None else "",
        f"{wording.number(sigmas, 2)} σ" if sigmas is not None else "",
        wording.level(values.get("level")),
    )
    return Row(
        kind="channel",
        subject=wording.words(name),
        now=wording.quantity(_number(values.get("now")), unit),
        usual=wording.quantity(_number(values.get("usual")), unit),
        detail=" · ".join(filter(None, told)),
        weight=weight,
        channel=name,
        source=str(values.get("source") or ""),
    )


def _code(code: str, values: dict[str, Any], weight: float) -> Row:
    count, ago = _number(values.get("count_day")), _number(values.get("hours_ago"))
    return Row(
        kind="code",
        subject="other codes" if code == _OTHERS else code,
        now=f"{wording.number(count)}× in 24 h" if count is not None else "",
        detail=f"last {wording.hours(ago)} before" if ago is not None else "",
        weight=weight,
        source=str(values.get("source") or ""),
    )


def _age(component: str, values: dict[str, Any], weight: float) -> Row:
    percentile = _number(values.get("percentile"))
    told = f"older than {percentile:.0f}% of known failures" if percentile is not None else ""
    return Row(
        kind="age",
        subject=f"{wording.words(component)} age",
        now=wording.hours(_number(values.get("age_h"))),
        detail=told,
        weight=weight,
    )


def _report(code: str, values: dict[str, Any], weight: float) -> Row:
    """Say what the device said: its message where it gave one, else all that it told."""
    told = values.get("message") or values.get("text")
    listed = ", ".join(f"{wording.words(k)} {v}" for k, v in values.items())
    return Row(
        kind="report",
        subject=wording.words(code),
        detail=str(told) if told else listed,
        weight=weight,
    )


def _hand_over(values: dict[str, Any]) -> Row:
    """Say who spoke: the signature library alone, or beside a model that has few labels."""
    labels, share = _number(values.get("labels")) or 0.0, _number(values.get("share")) or 0.0
    learnt = _number(values.get("learnt"))
    failures = f"{labels:.0f} labelled failure{'' if labels == 1 else 's'}"
    if learnt is None:
        told = f"the model abstains after {failures}"
    else:
        told = f"after {failures} the model, which says {wording.percent(learnt)}, weighs "
        told += wording.percent(share)
    return Row(
        kind="library",
        subject="signature library",
        now=wording.percent(_number(values.get("signature"))),
        detail=told,
    )


_PLAIN: Final = {CODE: _code, AGE: _age, REPORT: _report}


def _parameters(reason: dict[str, Any]) -> dict[str, Any]:
    inner = reason.get("parameters")
    if isinstance(inner, dict):
        return inner
    return {k: v for k, v in reason.items() if k not in {"kind", "code", "subject", "weight"}}


def _number(value: Any) -> float | None:  # noqa: ANN401 - from JSON
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
