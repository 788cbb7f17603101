"""Recorded histories as a library sees them, so that it can be judged and calibrated on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models import history as recorded
from models.signatures.deriving import Before, Frames
from models.signatures.zones import UNKNOWN, limits_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.history import History, Marks
    from models.signatures.library import Library
    from models.signatures.model import SignatureModel

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a library's channels stand among a device's; what it lacks is missing."""

    at: tuple[int, ...]

    @staticmethod
    def of(wanted: Sequence[str], channels: Sequence[str]) -> Columns:
        """Find each wanted channel; one past the end where there is none."""
        places = {name: i for i, name in enumerate(channels)}
        return Columns(tuple(places.get(name, len(channels)) for name in wanted))

    def taken(self, values: Floats) -> Floats:
        """Give the wanted columns of values [n, c]."""
        padded = np.column_stack([values, np.full(len(values), np.nan)])
        chosen: Floats = padded[:, list(self.at)]
        return chosen


def zone_limits(library: Library, model: str | None) -> tuple[float, ...]:
    """Give the zone limits of a device model, mm/s RMS; NaN where it has none."""
    machine = next((m for m in library.machines if m.model == model), None)
    limits = None if machine is None else limits_for(machine)
    return UNKNOWN if limits is None else (limits.ab, limits.bc, limits.cd)


def as_seen(model: SignatureModel, history: History, device_model: str | None = None) -> History:
    """Give a history with the library's subjects in place of channels, and its codes and parts.

    Codes that it does not know count as one; parts that it does not know are left out.
    """
    f = history.frames
    before = Before.blank(len(history.devices), len(model.channels))
    limits = np.array(zone_limits(model.library, device_model))
    told = model.derivation.derive(
        Frames(
            device=f.device,
            ts_ms=f.ts_ms,
            phase=f.phase.astype(np.int64),
            values=Columns.of(model.channels, history.spec.channels).taken(f.values.astype(float)),
            zones=np.broadcast_to(limits, (len(f.ts_ms), 3)),
        ),
        before,
    )
    codes = _places(history.spec.codes, model.spec.codes, len(model.spec.codes))
    parts = _places(history.spec.components, model.spec.components, -1)
    found = history.findings
    what = parts[found.what]
    return replace(
        history,
        spec=model.spec,
        frames=replace(f, values=told),
        events=_renamed(history.events, codes),
        replacements=_renamed(history.replacements, parts),
        installs=_renamed(history.installs, parts),
        findings=replace(found, what=what).where(what >= 0),
    )


def _places(names: Sequence[str], known: Sequence[str], other: int) -> NDArray[np.int64]:
    """Give the place of each name among the known ones; [n + 1], the last for what has no name."""
    places: Mapping[str, int] = {name: i for i, name in enumerate(known)}
    return np.array([*(places.get(name, other) for name in names), other], dtype=np.int64)


def _renamed(marks: Marks, places: NDArray[np.int64]) -> Marks:
    what = places[marks.what]
    return recorded.Marks(device=marks.device, ts_ms=marks.ts_ms, what=what).where(what >= 0)
