"""Steps of alerts and work orders as lines that a person would read; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api import evidence, wording

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from api.summary import StoryEvent

_SAID: Final = {
    "accept": "accepted",
    "ship": "kit shipped",
    "start": "work begun",
    "fit": "part fitted",
    "hold": "put on hold",
    "resume": "resumed",
    "choose": "strategy chosen",
    "cancel": "cancelled",
    "cannot_complete": "cannot be completed",
    "part_seen": "part replaced, as the device says",
    "close": "closed: telemetry agrees",
    "reopen": "opened again: telemetry does not agree",
    "lapse": "lapsed: the risk has passed",
    "merge": "merged",
}
_NOBODY: Final = frozenset({"policy", "telemetry"})
"""Actors that are no person: what they did says enough."""
_QUIET: Final = {
    "alert": frozenset({"wait", "keep", "ignore", "remute"}),
    "work_order": frozenset({"qualify", "offer", "try_remote"}),
}
"""Steps that change nothing for a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: when, whose, what, and where to read on."""

    at: datetime
    tone: str
    """alarm, watch, ok, order or quiet: its colour."""
    device: str
    subject: str
    text: str
    detail: str
    href: str


def lines(events: Iterable[StoryEvent]) -> list[Line]:
    """Give one line an event that a reader cares for."""
    return [
        _alert(event) if event.source == "alert" else _order(event)
        for event in events
        if event.action not in _QUIET[event.source]
    ]


def _alert(event: StoryEvent) -> Line:
    tone, text = _alert_text(event)
    return Line(
        at=event.at,
        tone=tone,
        device=event.device,
        subject=wording.words(event.component) if event.component else "",
        text=text,
        detail=evidence.headline(event.evidence) if event.action == "fire" else "",
        href=f"/alerts/{event.number}",
    )


def _alert_text(event: StoryEvent) -> tuple[str, str]:
    if event.action == "resolve":
        return "ok", f"alert resolved: {wording.words(event.reason)}"
    if event.action == "acknowledge":
        return "quiet", f"alert acknowledged by {event.actor}"
    if event.kind == "inspection":
        return "watch", "unusual behaviour: worth a look"
    if event.kind == "fault":
        return "alarm", f"the device reports {wording.words(event.failure_mode)}"
    return "alarm", foreseen(event)


def subject(kind: str, component: str, failure_mode: str) -> str:
    """Say what an alert is about.

    >>> subject("fault", "hotend_heater", "heater_not_heating")
    'hot-end heater: heater not heating'
    >>> subject("fault", "", "mcu_lost")
    'mcu lost'
    """
    if kind == "inspection":
        return "inspection notice"
    return ": ".join(wording.words(part) for part in (component, failure_mode) if part)


def foreseen(event: StoryEvent) -> str:
    """Say what is foreseen, for instance `failure in 5-9 h (p = 93 %)`."""
    when = (
        f"in {wording.span(event.p10_h, event.p90_h)}"
        if event.p10_h is not None and event.p90_h is not None
        else f"within {wording.hours(event.horizon_h)}"
    )
    return f"failure foreseen {when}, p {wording.percent(event.probability)}"


def _order(event: StoryEvent) -> Line:
    opened = event.action == "open"
    return Line(
        at=event.at,
        tone=_order_tone(event),
        device=event.device,
        subject=wording.words(event.component),
        text=f"WO-{event.number} {_order_text(event, opened=opened)}",
        detail=_offer(event) if opened else "",
        href=f"/work-orders/{event.number}",
    )


def _order_tone(event: StoryEvent) -> str:
    if event.state == "closed":
        return "ok"
    if event.state in {"cancelled", "cannot_complete", "merged", "on_hold"}:
        return "quiet"
    return "order"


def _order_text(event: StoryEvent, *, opened: bool) -> str:
    if opened:
        return "opened"
    said = _SAID.get(event.action, f"{wording.words(event.action)}: {wording.words(event.state)}")
    return f"{said} by {event.actor}" if event.actor not in _NOBODY else said


def _offer(event: StoryEvent) -> str:
    parts = (
        f"kit {event.kit}" if event.kit else "",
        wording.words(event.strategy) if event.strategy else "",
        wording.money(event.cost, event.currency) if event.cost is not None else "",
    )
    return " · ".join(filter(None, parts))
