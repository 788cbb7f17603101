"""Simulated histories as models read them: what devices said, and what was found in parts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from foremend.values import PART_REPLACED, tells_fault
from models.features import FeatureSpec
from models.history import Findings, Found, Frames, History, Marks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulators.histories import History as Simulated
    from simulators.steps import SimEvent, Truth


def failure_modes(simulated: Simulated) -> tuple[tuple[str, str], ...]:
    """Name what each component's failure is called: of several modes the most frequent one.

    A kit replaces a component, so an order that names another of its modes cures all the same.
    """
    seen = Counter((t.component, t.failure_mode) for t in simulated.truth)
    ranked = sorted(seen, key=lambda pair: (seen[pair], pair))
    return tuple(sorted(dict(ranked).items()))


def as_history(simulated: Simulated) -> History:
    """Give a recorded simulation as training data; truth enters as findings alone.

    A technician who took a part out after it failed found it failed; before, the part was found
    degraded if a fault had begun in it. A fault that nobody looked at stays unknown.
    """
    spec = _spec(simulated)
    errors = [e for e in simulated.events if is_error(e)]
    replaced = [e for e in simulated.events if e.code == PART_REPLACED and e.component]
    return History(
        spec=spec,
        devices=simulated.names,
        frames=Frames.of_grid(simulated.ts, simulated.phase, simulated.values),
        events=_marks((e.device_index, e.ts_ms, spec.codes.index(e.code)) for e in errors),
        replacements=_marks(
            (e.device_index, e.ts_ms, spec.components.index(e.component or "")) for e in replaced
        ),
        findings=_findings(simulated, spec),
        installs=_marks(
            (i, part.installed_at_ms or 0, spec.components.index(part.instance))
            for i, parts in enumerate(simulated.components)
            for part in parts
        ),
        until_ms=int(simulated.ts[-1]),
    )


def found_modes(simulated: Simulated) -> tuple[str, ...]:
    """Name the failure mode of each finding of `as_history`, in its order."""
    places, spec = {name: i for i, name in enumerate(simulated.names)}, _spec(simulated)
    seen = [(_found(t, places, spec), t.failure_mode) for t in simulated.truth if _looked_at(t)]
    return tuple(mode for _, mode in sorted(seen))


def is_error(event: SimEvent) -> bool:
    """Tell whether an event is an error code, as scoring understands it."""
    return tells_fault(event.code, event.severity.value)


def _spec(simulated: Simulated) -> FeatureSpec:
    components = tuple(part.instance for part in simulated.components[0])
    tied = {name: i for i, name in enumerate(components)}
    return FeatureSpec(
        family=simulated.family,
        channels=tuple(c.name for c in simulated.channels),
        components=components,
        codes=tuple(sorted({e.code for e in simulated.events if is_error(e)})),
        channel_component=tuple(tied.get(c.component or "", -1) for c in simulated.channels),
    )


def _findings(simulated: Simulated, spec: FeatureSpec) -> Findings:
    places = {name: i for i, name in enumerate(simulated.names)}
    seen = sorted(_found(t, places, spec) for t in simulated.truth if _looked_at(t))
    rows = np.array([(d, w, t, c) for t, d, w, c in seen], dtype=np.int64).reshape(-1, 4)
    device, what, ts_ms, condition = rows.T
    return Findings(device=device, ts_ms=ts_ms, what=what, condition=condition, known_ms=ts_ms)


def _looked_at(truth: Truth) -> bool:
    return truth.repaired_ms is not None


def _found(truth: Truth, places: dict[str, int], spec: FeatureSpec) -> tuple[int, int, int, int]:
    failed = truth.failed_ms is not None
    at = truth.failed_ms if failed else truth.repaired_ms
    condition = Found.FAILED if failed else Found.DEGRADED
    where = spec.components.index(truth.component)
    return (int(at or 0), places[truth.device], where, int(condition))


def _marks(rows: Iterable[tuple[int, int, int]]) -> Marks:
    listed = list(rows)
    device, ts_ms, what = zip(*listed, strict=True) if listed else ((), (), ())
    return Marks.of(device, ts_ms, what)
