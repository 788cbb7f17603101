"""From predictions to alerts to work orders: what two services do, on the year's own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alerting import batch
from alerting.memory import MemoryAlerts
from alerting.values import Action, AlertKind, Context, Evaluation, Group, Life, Mute, Word
from field_service import application
from field_service.values import OVER, Alert, Outlook, Subject
from foremend.clock import to_datetime
from stack.year.site import TENANT, TIMELINE

if TYPE_CHECKING:
    from alerting.values import Change
    from foremend.clock import Millis
    from models.scoring.entries import Prediction
    from stack.year.site import Site

_HEARD = (None, Mute.OPEN_WORK_ORDER)
"""Field service acts on alerts that nothing mutes, or only an order that stands already."""


@dataclass(slots=True)
class Alerts:
    """The alerts of one fleet, and the orders that they open."""

    site: Site
    store: MemoryAlerts = field(default_factory=MemoryAlerts)
    _numbers: dict[Group, int] = field(default_factory=dict)
    _fired: int = 0
    _rows: int = 0

    def handle(self, predictions: list[Prediction], now_ms: Millis) -> None:
        """Handle what scoring said up to now, let time pass, and act on alerts that fire."""
        self.store.clocks[TIMELINE] = to_datetime(now_ms)
        self._surround(predictions)
        self.store.waiting = [self._evaluation(told) for told in predictions]
        while batch.handle(self.store):
            pass
        batch.look_at_clock(self.store)
        changes, self.store.changes = self.store.changes, []
        for change in changes:
            self._apply(change)
        self._forget()
        self._act(now_ms)

    def _surround(self, predictions: list[Prediction]) -> None:
        """Tell what stands around every group that may be looked at."""
        orders = self.site.world.orders.values()
        busy = {o.subject for o in orders if o.state not in OVER}
        groups = {_group(told) for told in predictions} | {g for g, _ in self.store.alerts}
        for group in groups:
            place = self.site.world.devices[group.device_id]
            self.store.contexts[group] = Context(
                device=place.name,
                tenant=TENANT,
                region=place.region,
                org_node=place.org_node,
                open_work_order=_subject(group) in busy,
            )

    def _evaluation(self, told: Prediction) -> Evaluation:
        self._rows += 1
        hazard = told.hazard
        low, middle, high = hazard.band_h
        return Evaluation(
            row_id=self._rows,
            tenant=TENANT,
            group=_group(told),
            ts=to_datetime(hazard.ts_ms),
            word=Word.ABOVE if told.above else Word.BELOW,
            probability=hazard.probability,
            threshold=told.threshold,
            horizon_h=hazard.horizon_h,
            p10_h=low,
            p50_h=middle,
            p90_h=high,
            evidence=told.reasons,
            model_version=hazard.version,
        )

    def _apply(self, change: Change) -> None:
        world, group, said = self.site.world, change.group, change.evaluation
        if change.after.life is Life.RESOLVED and group in self._numbers:
            world.resolved.add(self._numbers.pop(group))
        fires = change.decision.action is Action.FIRE and change.decision.muted_by in _HEARD
        if not fires or said is None:
            return
        self._fired += 1
        self._numbers[group] = self._fired
        world.alerts[self._fired] = Alert(
            id=self._fired,
            tenant=TENANT,
            subject=_subject(group),
            fired_at=change.at,
            outlook=Outlook(
                probability=said.probability,
                horizon_h=said.horizon_h,
                p10_h=said.p10_h,
                p50_h=said.p50_h,
                p90_h=said.p90_h,
            ),
            evidence=said.evidence,
            model_version=said.model_version,
        )

    def _forget(self) -> None:
        """Leave out what is over: a year has thousands, and nobody looks back at them."""
        open_ones = [(g, s) for g, s in self.store.alerts if s.life is not Life.RESOLVED]
        self.store.alerts[:] = open_ones
        self.store.told.clear()

    def _act(self, now_ms: Millis) -> None:
        desk = self.site.desk
        while (alert := desk.inbox.next_alert()) is not None:
            self.site.at(now_ms, [alert.subject.device_id])
            application.open_from_alert(desk, alert)


def _group(told: Prediction) -> Group:
    return Group(
        timeline=TIMELINE,
        device_id=told.hazard.device,
        kind=AlertKind.FAILURE,
        component=told.hazard.component,
        failure_mode=told.hazard.failure_mode,
    )


def _subject(group: Group) -> Subject:
    return Subject(
        timeline=group.timeline,
        device_id=group.device_id,
        component=group.component,
        failure_mode=group.failure_mode,
    )
