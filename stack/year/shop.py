"""The people of a year: they report what stands still and see orders through, as the crew decides.

They know what a technician knows who opens a device, and nothing of it reaches scoring but as a
finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from field_service import application
from field_service.values import OVER, Ask, State, Strategy, Subject
from field_service.watch import look_at
from foremend.clock import HOUR_MS, to_datetime, to_ms
from foremend.values import PART_REPLACED, AsFound
from stack.fleet import crew
from stack.year.accounts import Visit
from stack.year.site import TENANT, TIMELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from field_service.values import Order
    from foremend.clock import Millis
    from simulators.fleets import AnyFleet
    from simulators.steps import Step, Truth
    from stack.year.sightings import Sightings
    from stack.year.site import Site

ACTOR: Final = "crew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A part that was taken out: which, when, and what was found in it.

    `stood_ms` is when the error came since which the device had not run, if one had come.
    """

    device: int
    component: str
    at_ms: Millis
    age_h: float
    as_found: AsFound
    stood_ms: Millis | None


@dataclass(slots=True)
class Shop:
    """One fleet, its orders, and whoever works on them."""

    fleet: AnyFleet
    site: Site
    sightings: Sightings
    visits: list[Visit] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    _open: dict[int, None] = field(default_factory=dict)
    """Ids of the orders that are not over, in the order in which they opened."""
    _seen: int = 0

    def see(self, step: Step) -> None:
        """Note what devices say of replaced parts, as ingest would."""
        for event in step.events:
            if event.code == PART_REPLACED and event.component is not None:
                who = (event.device_index, event.component, to_datetime(event.ts_ms))
                self.site.world.replaced.append(who)

    def report(self, now_ms: Millis) -> None:
        """Report what has stood still long enough to be noticed; an order that stands suffices."""
        for truth in self.fleet.failed():
            if now_ms - (truth.failed_ms or now_ms) >= crew.NOTICED_H * HOUR_MS:
                self._report(truth, now_ms)

    def _report(self, truth: Truth, now_ms: Millis) -> None:
        device = self.fleet.names.index(truth.device)
        if (device, truth.component) in self._subjects():
            return
        self.site.at(now_ms, [device])
        subject = Subject(
            timeline=TIMELINE,
            device_id=device,
            component=truth.component,
            failure_mode=truth.failure_mode,
        )
        application.open_reactive(self.site.desk, subject=subject, actor=ACTOR)

    def work(self, now_ms: Millis) -> None:
        """Let people do what is due on every order that waits for them."""
        for order in list(self._open_orders()):
            if order.state is State.VERIFYING:
                continue
            decision = crew.decide(standing(order), now_ms)
            if decision.deed is not crew.Deed.WAIT:
                self.site.at(now_ms, [order.subject.device_id])
                self._do(order, decision.deed, now_ms)

    def look(self, now_ms: Millis) -> None:
        """Let time and telemetry move what nobody works on."""
        for order in list(self._open_orders()):
            self.site.at(now_ms, [order.subject.device_id])
            if order.state is State.VERIFYING:
                self.site.world.signals[order.id] = self.sightings.signals(order)
            look_at(self.site.desk, order)

    def fit(self, device: int, components: Sequence[str]) -> AsFound:
        """Fit new parts into a device; gives the worst condition that was found."""
        ages, now_ms = self.installed(device), self.fleet.now_ms
        stood_ms = self.sightings.down_since(device)
        worst = AsFound.NO_FAULT_FOUND
        for component in components:
            found = self.fleet.replace(device, component).as_found
            worst = min(worst, found, key=list(AsFound).index)
            self.taken.append(
                Taken(
                    device=device,
                    component=component,
                    at_ms=now_ms,
                    age_h=(now_ms - ages[component]) / HOUR_MS,
                    as_found=found,
                    stood_ms=stood_ms,
                )
            )
        return worst

    def installed(self, device: int) -> dict[str, Millis]:
        """Give when each component of a device was installed."""
        return {c.instance: c.installed_at_ms or 0 for c in self.fleet.components(device)}

    def _fit(self, order: Order, now_ms: Millis) -> None:
        resolution = self.site.desk.catalogue.by_kit(order.kit) if order.kit else None
        replaces = resolution.kit.replaces if resolution else (order.subject.component,)
        found = self.fit(order.subject.device_id, replaces)
        self.visits.append(
            Visit(
                device=order.device,
                component=replaces[0],
                fitted_ms=now_ms,
                work_h=standing(order).work_h or crew.FITTING_H,
                bill=self.site.cost(order, order.strategy or Strategy.ON_SITE),
                failed=found is AsFound.FAILED,
            )
        )
        self._move(order, "fit", Ask(as_found=found, component=replaces[0], replaced=True))
        self.sightings.fitted(order.id, order.subject.device_id, now_ms)

    def _do(self, order: Order, deed: crew.Deed, now_ms: Millis) -> None:
        if deed is crew.Deed.FIT:
            self._fit(order, now_ms)
        else:
            self._move(order, deed.value)

    def _move(self, order: Order, action: str, ask: Ask | None = None) -> None:
        application.move(
            self.site.desk, tenant=TENANT, number=order.number, action=action, actor=ACTOR, ask=ask
        )

    def _subjects(self) -> set[tuple[int, str]]:
        """Give the parts on which an order stands, whatever it calls their failure."""
        return {(o.subject.device_id, o.subject.component) for o in self._open_orders()}

    def _open_orders(self) -> Iterator[Order]:
        """Give the orders that are not over, those that opened since the last call included."""
        orders = self.site.world.orders
        while self._seen < len(orders):
            self._seen += 1
            self._open[self._seen] = None
        self._open = {i: None for i in self._open if orders[i].state not in OVER}
        yield from (orders[i] for i in self._open)


def standing(order: Order) -> crew.Standing:
    """Give an order as the crew sees it, with the times that its strategy was offered with."""
    rows: Iterable[dict[str, object]] = order.options
    chosen = next((r for r in rows if order.strategy and r["strategy"] == order.strategy.value), {})
    return crew.Standing(
        number=order.number,
        version=order.version,
        device=order.device,
        component=order.subject.component,
        state=order.state.value,
        state_ms=to_ms(order.state_at),
        strategy=order.strategy.value if order.strategy else None,
        kit=order.kit,
        reopened=order.reopened,
        lead_h=_hours(chosen.get("lead_h")),
        work_h=_hours(chosen.get("work_h")),
    )


def _hours(told: object) -> float | None:
    return float(told) if isinstance(told, int | float) else None
