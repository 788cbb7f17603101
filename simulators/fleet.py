"""A fleet of simulated devices of one family: the small interface that the rest of us uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Self

import numpy as np

from foremend.errors import NotFound
from foremend.values import AsFound, Phase, Severity
from foremend.wire import Component
from simulators import events, faults, sensing, snapshot, weather
from simulators.faults import NEVER
from simulators.physics import Around, S, U
from simulators.steps import FaultPlan, Fitting, ScheduledFault, Step, Truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from foremend.wire import Channel
    from simulators.faults import Ageing, Faults
    from simulators.physics import Outcome, Physics
    from simulators.specs import Part
    from simulators.steps import Bools, Floats, Ints, SimEvent
    from simulators.weather import Sites, Weather

START_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
_STREAMS: Final = ("weather", "process", "sensors", "faults")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made(Generic[U]):
    """What never changes once a fleet is made."""

    sites: Sites
    units: U


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moving(Generic[S]):
    """What changes with every frame."""

    weather: Weather
    state: S
    faults: Faults
    burst_left: Ints
    active: Bools


class Fleet(Generic[U, S]):
    """Devices that advance together, one frame a step; the same seed gives the same bytes.

    Untouched devices go on just the same whatever is repaired on others.

    Args:
        physics: the family's.
        names: one for each device.
        seed: of everything random here.
        start_ms: when the fleet starts, milliseconds UTC; the first frame ends a step later.
        step_s: length of a frame, seconds.
        plan: which faults are to come.
    """

    def __init__(
        self,
        physics: Physics[U, S],
        *,
        names: Sequence[str],
        seed: int,
        start_ms: int,
        step_s: float,
        plan: FaultPlan,
    ) -> None:
        self.names = tuple(names)
        self.channels: tuple[Channel, ...] = physics.family.channels
        self.model, self.family = physics.family.model, physics.family.family
        self.firmware = physics.family.firmware
        self._physics, self._family = physics, physics.family
        self._modes, self._parts = physics.family.modes, physics.family.parts
        self._seed, self._start_ms, self._step_s, self._plan = seed, start_ms, step_s, plan
        self._rng = {name: _stream(seed, 0xB0, at) for at, name in enumerate(_STREAMS)}
        self._sensing = sensing.sensing(self.channels, physics.family.sensors)
        self._active_in = np.isin(np.arange(len(Phase)), physics.active)
        background = physics.family.background
        self._gates, self._quiet = slice(0, len(self._modes)), len(background)
        self._quiet_per_h = np.asarray([[code.per_h] for code in background])
        self._rates = faults.rates(self._modes)
        self._made, self._now = self._begin(_stream(seed, 0xA0))
        self._tick = 0
        self._closed: list[Truth] = []
        self._fitted: list[tuple[str, int]] = []

    def _begin(self, rng: np.random.Generator) -> tuple[Made[U], Moving[S]]:
        n = len(self.names)
        sites = weather.draw_sites(rng, n)
        calm = weather.calm(sites)
        made = Made(sites=sites, units=self._physics.draw(rng, n))
        room_c = weather.room_c(sites, calm, self._start_ms)
        moving = Moving(
            weather=calm,
            state=self._physics.begin(made.units, room_c, rng),
            faults=faults.begin(self._family, self._plan, self.names, self._seed, self._start_ms),
            burst_left=np.zeros(n, dtype=np.int64),
            active=np.zeros(n, dtype=np.bool_),
        )
        return made, moving

    @property
    def now_ms(self) -> int:
        """The fleet's own clock: the end of the last step, milliseconds UTC."""
        return self._start_ms + round(self._tick * self._step_s * 1000.0)

    @property
    def codes(self) -> tuple[str, ...]:
        """Error codes that the firmware knows, as its manual would list them; sorted."""
        modes = self._physics.family.modes
        told = [(m.failure_code, m.failure_severity) for m in modes]
        told += [(m.warning_code, Severity.WARNING) for m in modes]
        told += [(b.code, b.severity) for b in self._physics.family.background]
        return tuple(sorted({code for code, grave in told if grave is not Severity.INFO}))

    def components(self, device: int) -> tuple[Component, ...]:
        """Give the parts that are fitted to a device, with serials and times of installation."""
        return tuple(
            Component(
                instance=part.instance,
                kind=part.kind,
                serial=self._serial(part, device),
                installed_at_ms=self._installed_ms(part, device),
            )
            for part in self._parts
        )

    def step(self) -> Step:
        """Advance every device by one frame: weather, faults, physics, sensors, in that order."""
        self._tick += 1
        now, made, ts_ms, dt_s = self._now, self._made, self.now_ms, self._step_s
        draws = self._rng["faults"].random((2 * len(self._modes) + self._quiet, len(self.names)))
        sky = self._sky(now.weather)
        ageing = faults.advance(
            now.faults, ts_ms=ts_ms, dt_h=dt_s / 3600.0, active=now.active, u=draws[self._gates]
        )
        around = Around(
            wear=ageing.wear,
            spent=ageing.faults.failed_ms != NEVER,
            down=ageing.down,
            room_c=weather.room_c(made.sites, sky, ts_ms),
            dip=weather.mains_dip(made.sites, sky),
            dt_s=dt_s,
        )
        state, outcome = self._physics.advance(made.units, now.state, around, self._rng["process"])
        noise, dice = self._physics.noise(made.units), self._rng["sensors"]
        reading = sensing.read(outcome.truth, self._sensing, noise, now.burst_left, dice, dt_s)
        self._now = Moving(
            weather=sky,
            state=state,
            faults=ageing.faults,
            burst_left=reading.burst_left,
            active=self._active_in[outcome.phase],
        )
        told = tuple(self._events(outcome, ageing, draws))
        self._fitted = []
        return Step(
            ts_ms=ts_ms,
            phase=outcome.phase,
            quality=reading.quality,
            values=reading.values,
            events=told,
        )

    def _sky(self, sky: Weather) -> Weather:
        """Move the weather on, but only every so many frames: it is slow."""
        every = max(1, round(weather.EVERY_S / self._step_s))
        if self._tick % every:
            return sky
        return weather.advance(sky, self._rng["weather"], every * self._step_s)

    def _events(self, outcome: Outcome, ageing: Ageing, draws: Floats) -> Iterator[SimEvent]:
        k, ts_ms, dt_h = len(self._modes), self.now_ms, self._step_s / 3600.0
        for component, device in self._fitted:
            part = self._family.part(component)
            serial, fitted_ms = self._serial(part, device), self._installed_ms(part, device)
            yield events.replaced(device, part, serial, fitted_ms)
        yield from events.said(outcome.notes, ts_ms)
        yield from events.failures(ageing.fails, self._modes, ts_ms)
        warns = faults.warns(
            ageing, self._rates, draws[k : 2 * k], dt_h=dt_h, active=self._now.active
        )
        yield from events.warnings(warns, self._modes, ts_ms)
        chance = draws[2 * k :] < self._quiet_per_h * dt_h
        codes = self._physics.family.background
        yield from events.background(codes, chance & ~ageing.down, ts_ms)

    def replace(self, device: int, component: str) -> Fitting:
        """Fit a new part; the next step says `part_replaced`, dated now.

        Only the part that is at fault takes its fault with it. A device that stands in error goes
        on once no failed part is left in it.

        Raises:
            NotFound: the family has no such component.
        """
        rows = list(self._rows(component))
        found = faults.as_found(self._now.faults, rows, device)
        here = np.zeros_like(self._now.faults.gate)
        here[rows, device] = self._now.faults.onset_ms[rows, device] != NEVER
        self._closed.extend(self._truths(here, repaired=True))
        at = (component, device)
        faults.renew(self._now.faults, self._family, self._plan, self._seed, at, self.now_ms)
        self._fitted.append(at)
        return Fitting(as_found=found, cured=found is not AsFound.NO_FAULT_FOUND)

    def _rows(self, component: str) -> tuple[int, ...]:
        rows = self._family.rows(component)
        if not rows:
            raise NotFound(f"{self.family} has no component {component!r}")
        return rows

    def remaining_h(self, device: int, component: str) -> float | None:
        """Hours until this part fails if left; None while it has no fault, 0 once it failed."""
        begun = [r for r in self._rows(component) if self._now.faults.onset_ms[r, device] != NEVER]
        return float(self._now.faults.remaining_h[begun, device].min()) if begun else None

    def truth(self) -> tuple[Truth, ...]:
        """Give every fault that has begun so far, repaired ones first; for judges only."""
        return (*self._closed, *self._truths(self._now.faults.onset_ms != NEVER))

    def failed(self) -> tuple[Truth, ...]:
        """Give the faults that hold a device down at this moment."""
        return tuple(self._truths(self._now.faults.failed_ms != NEVER))

    def _truths(self, mask: Bools, *, repaired: bool = False) -> Iterator[Truth]:
        """Tell the faults at the marked places [k, n], repaired now or still there."""
        state, left_h = self._now.faults, self._now.faults.remaining_h
        for row, device in np.argwhere(mask).tolist():
            failed_ms = int(state.failed_ms[row, device])
            left_ms = round(float(left_h[row, device]) * faults.HOUR_MS)
            yield Truth(
                device=self.names[device],
                component=self._modes[row].component,
                failure_mode=self._modes[row].failure_mode,
                onset_ms=int(state.onset_ms[row, device]),
                failed_ms=None if failed_ms == NEVER else failed_ms,
                due_ms=self.now_ms + left_ms if failed_ms == NEVER else failed_ms,
                repaired_ms=self.now_ms if repaired else None,
                preventive=repaired and failed_ms == NEVER,
            )

    def _serial(self, part: Part, device: int) -> str:
        generation = int(self._now.faults.generation[self._rows(part.instance)[0], device])
        return faults.serial(part, self._seed, self.names[device], generation)

    def _installed_ms(self, part: Part, device: int) -> int:
        return int(self._now.faults.installed_ms[self._rows(part.instance)[0], device])

    def snapshot(self) -> bytes:
        """Write the whole state, random generators included, as JSON."""
        return snapshot.encode(
            {
                "family": self.family,
                "names": self.names,
                "seed": self._seed,
                "start_ms": self._start_ms,
                "step_s": self._step_s,
                "plan": asdict(self._plan),
                "tick": self._tick,
                "closed": [asdict(t) for t in self._closed],
                "fitted": self._fitted,
                "rng": {name: snapshot.pack_generator(rng) for name, rng in self._rng.items()},
                "made": snapshot.pack(self._made),
                "now": snapshot.pack(self._now),
            }
        )

    def resume(self, content: dict[str, Any]) -> Self:
        """Take over everything that a snapshot holds."""
        self._tick = content["tick"]
        self._closed = [Truth(**row) for row in content["closed"]]
        self._fitted = [(component, device) for component, device in content["fitted"]]
        self._rng = {name: snapshot.generator(s) for name, s in content["rng"].items()}
        self._made = snapshot.unpack(self._made, content["made"])
        self._now = snapshot.unpack(self._now, content["now"])
        return self


def _stream(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(list(words)))


def arguments(content: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments with which the fleet of a snapshot was made."""
    plan = content["plan"]
    scheduled = tuple(ScheduledFault(**row) for row in plan["scheduled"])
    kept = ("names", "seed", "start_ms", "step_s")
    return {**{k: content[k] for k in kept}, "plan": FaultPlan(**{**plan, "scheduled": scheduled})}
