"""A record to learn from: what devices said, and what work orders found in their parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from field_service.labels import outcome
from foremend.clock import DAY_MS, HOUR_MS, to_ms
from foremend.values import PART_REPLACED, AsFound
from models.features import FeatureSpec, FeatureState, Rows
from models.history import Findings, Found, Frames, History, Marks
from stack.histories import is_error
from stack.year.terms import STEP_MS
from stack.year.walk import ground, walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from field_service.values import Finding, Verified
    from foremend.clock import Millis
    from simulators.fleets import AnyFleet
    from simulators.steps import Step
    from stack.year.terms import Terms
    from stack.year.walk import Ground

    _Fit = tuple[int, str, Millis]
    """Device, component, and when a part was fitted."""

EVERY: Final = 2
"""Of each device's rows every second is kept to learn from: its neighbours say nearly the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Rows of features, and the happenings and findings that label them; no frames."""

    rows: Rows
    history: History

    def until(self, now_ms: Millis) -> Known:
        """Give what was known at an earlier moment."""
        rows = self.rows.where(self.rows.ts_ms <= now_ms)
        return Known(rows=rows, history=self.history.told_by(now_ms))


def watched(terms: Terms, pilot: AnyFleet, horizon_h: float) -> Known:
    """Watch the pilot's devices run to failure until the first day; give what was learnt.

    Of its last hours, as many as the longest horizon, no rows are kept: of them failures alone
    would be told, because whoever had not failed was no longer watched.
    """
    on = ground(pilot)
    record = Record(on)
    windows = round(terms.pilot_days * DAY_MS / terms.window_ms)
    walk(on, terms, windows=windows, each=record.take)
    known = record.known(pilot.now_ms)
    kept = known.rows.ts_ms <= pilot.now_ms - round(horizon_h * HOUR_MS)
    return replace(known, rows=known.rows.where(kept))


def joined(before: Known, own: Known) -> Known:
    """Give two records of other devices as one; the first ended when the second began.

    The devices of the first leave then: as parts do that are replaced and of which nobody tells
    what was found.
    """
    past, now = before.history, own.history
    first, parts = len(past.devices), np.arange(len(now.spec.components))
    gone = Marks.of(
        np.repeat(np.arange(first), len(parts)),
        np.full(first * len(parts), past.until_ms),
        np.tile(parts, first),
    )
    rows = replace(own.rows, device=own.rows.device + first)
    history = replace(
        now,
        devices=(*(f"pilot-{name}" for name in past.devices), *now.devices),
        events=_after(past.events, now.events, first),
        replacements=_after(_after(past.replacements, gone, 0), now.replacements, first),
        findings=_findings_after(past.findings, now.findings, first),
        installs=_after(past.installs, now.installs, first),
    )
    return Known(rows=Rows.joined([before.rows, rows], now.spec.width), history=history)


def _after(one: Marks, other: Marks, first: int) -> Marks:
    return Marks.of(
        np.r_[one.device, other.device + first],
        np.r_[one.ts_ms, other.ts_ms],
        np.r_[one.what, other.what],
    )


def _findings_after(one: Findings, other: Findings, first: int) -> Findings:
    return Findings(
        device=np.r_[one.device, other.device + first],
        ts_ms=np.r_[one.ts_ms, other.ts_ms],
        what=np.r_[one.what, other.what],
        condition=np.r_[one.condition, other.condition],
        known_ms=np.r_[one.known_ms, other.known_ms],
    )


def spec_of(fleet: AnyFleet) -> FeatureSpec:
    """Give the layout of a fleet's features: channels, components, and codes by the manual."""
    components = tuple(dict.fromkeys(part.instance for part in fleet.components(0)))
    tied = {name: i for i, name in enumerate(components)}
    return FeatureSpec(
        family=fleet.family,
        channels=tuple(channel.name for channel in fleet.channels),
        components=components,
        codes=fleet.codes,
        channel_component=tuple(tied.get(c.component or "", -1) for c in fleet.channels),
        step_ms=STEP_MS,
    )


class Record:
    """What a fleet's devices said, as rows of features, and what was found in their parts."""

    def __init__(self, on: Ground) -> None:
        self._on, self.spec = on, spec_of(on.fleet)
        self._state = FeatureState(self.spec, len(on.fleet.names))
        self._codes = {code: i for i, code in enumerate(self.spec.codes)}
        self._rows: list[Rows] = []
        self._errors: list[tuple[int, int, int]] = []
        self._installs = [
            (device, ms, self.spec.components.index(name))
            for device in range(len(on.fleet.names))
            for name, ms in on.shop.installed(device).items()
        ]
        device, ms, what = zip(*self._installs, strict=True)
        self._state.observe_installs(device, what, ms)

    def take(self, step: Step) -> None:
        """Take one window, in the order of `batch`."""
        every = np.arange(len(step.phase))
        for event in step.events:
            if event.code == PART_REPLACED and event.component is not None:
                what = self.spec.components.index(event.component)
                self._keep(
                    self._state.observe_replacements([event.device_index], [event.ts_ms], [what])
                )
        ts_ms = np.full(len(every), step.ts_ms)
        self._keep(self._state.observe_frames(every, ts_ms, step.phase, step.values))
        errors = [
            (e.device_index, e.ts_ms, self._codes.get(e.code, len(self._codes)))
            for e in step.events
            if is_error(e)
        ]
        if errors:
            self._errors += errors
            device, ms, code = zip(*errors, strict=True)
            self._keep(self._state.observe_events(device, ms, code))

    def _keep(self, due: Rows) -> None:
        if len(due):
            kept = (due.ts_ms // self.spec.step_ms + due.device) % EVERY == 0
            self._rows.append(due.where(kept))

    def known(self, until_ms: Millis) -> Known:
        """Give what is known now; the frames are in the rows."""
        self._rows = [Rows.joined(self._rows, self.spec.width)]
        return Known(rows=self._rows[0], history=self._history(until_ms))

    @property
    def faults(self) -> int:
        """How many failures the findings tell of, foreseen ones included."""
        return sum(self._faulty(f.as_found, f.verified) for f in self._on.site.world.findings)

    def _history(self, until_ms: Millis) -> History:
        world, names = self._on.site.world, self.spec.components
        return History(
            spec=self.spec,
            devices=self._on.fleet.names,
            frames=Frames.of_grid([], [], np.empty((0, 0, len(self.spec.channels)))),
            events=_marks(self._errors),
            replacements=_marks([(d, to_ms(at), names.index(c)) for d, c, at in world.replaced]),
            findings=self._findings(),
            installs=_marks(self._installs),
            until_ms=until_ms,
        )

    def _findings(self) -> Findings:
        """Give the work orders' findings as labels.

        A part that was found failed had failed when the error came since which its device stood.
        """
        stood = {(t.device, t.component, t.at_ms): t.stood_ms for t in self._on.shop.taken}
        told = sorted(
            self._label(finding, stood)
            for finding in self._on.site.world.findings
            if self._faulty(finding.as_found, finding.verified)
        )
        ts_ms, device, what, condition, known_ms = (
            np.array([row[at] for row in told], dtype=np.int64) for at in range(5)
        )
        return Findings(
            device=device, ts_ms=ts_ms, what=what, condition=condition, known_ms=known_ms
        )

    def _label(self, finding: Finding, stood: Mapping[_Fit, Millis | None]) -> tuple[int, ...]:
        failed, at_ms = finding.as_found is AsFound.FAILED, to_ms(finding.occurred_at)
        since_ms = stood.get((finding.device_id, finding.component, at_ms)) if failed else None
        return (
            since_ms or at_ms,
            finding.device_id,
            self.spec.components.index(finding.component),
            int(Found.FAILED if failed else Found.DEGRADED),
            to_ms(finding.known_at),
        )

    @staticmethod
    def _faulty(as_found: AsFound, verified: Verified | None) -> bool:
        failed, _ = outcome(as_found, replaced=True, verified=verified)
        return failed


def _marks(rows: Sequence[tuple[int, int, int]]) -> Marks:
    device, ts_ms, what = zip(*rows, strict=True) if rows else ((), (), ())
    return Marks.of(device, ts_ms, what)
