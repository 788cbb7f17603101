"""What the signature library says of devices: alone, or beside a model that has few labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from foremend.values import PART_REPLACED, Phase, tells_fault
from models.failure import Abstention, time_to_failure
from models.features import FeatureState
from models.features.state import SnapshotMismatch
from models.scoring.entries import Hazard, Prediction
from models.signatures.deriving import Before, Frames
from models.signatures.library import HORIZONS_H, ORDER_HORIZON_H
from models.signatures.likelihood import weigh
from models.signatures.recorded import Columns, zone_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from models.diagnosis import Reason
    from models.features import Rows
    from models.scoring.entries import EventRow, FrameRows, Outputs
    from models.signatures import SignatureModel

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_DOWN: Final = frozenset({Phase.ERROR.value, Phase.STOPPED.value})
"""Phases in which nothing is foretold: what a device showed before it stood still is stale."""


class ColdState(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share, as a snapshot keeps it."""

    features: bytes
    ts_ms: int
    phase: int
    values: bytes
    above: dict[str, int]
    """Components whose last evaluation stood above the threshold, and by which mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Evaluations that became due: rows [m], `cumulative[m, k, h]` and `abstained[m, k]`.

    `bands[m, k, 3]` are P10, P50 and P90 of the hours to failure.

    `down[m]` tells whether the device stood still when the row was taken.
    """

    device: tuple[int, ...]
    ts_ms: tuple[int, ...]
    down: tuple[bool, ...]
    values: NDArray[np.float32]
    cumulative: Floats
    bands: Floats
    abstained: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.device)


_SILENCE: Final = Words(
    device=(),
    ts_ms=(),
    down=(),
    values=np.empty((0, 0), np.float32),
    cumulative=np.empty((0, 0, 0)),
    bands=np.empty((0, 0, 3)),
    abstained=np.empty((0, 0), np.int64),
)
"""Nothing was due, as after most frames."""


@dataclass(slots=True, eq=False)
class ColdStart:
    """Evaluates every device of one family by its library."""

    model: SignatureModel
    _features: FeatureState = field(init=False)
    _before: Before = field(init=False)
    _zones: Floats = field(init=False)
    _places: dict[int, int] = field(default_factory=dict)
    _devices: list[int] = field(default_factory=list)
    _above: dict[int, dict[str, int]] = field(default_factory=dict)
    _columns: dict[tuple[str, ...], Columns] = field(default_factory=dict)
    _codes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._features = FeatureState(self.model.spec)
        self._before = Before.blank(0, len(self.model.channels))
        self._zones = np.empty((0, 3))
        self._codes = {code: i for i, code in enumerate(self.model.spec.codes)}

    def seat(self, device: int) -> int:
        """Give the device's place, making room for a new one."""
        if device not in self._places:
            self._places[device] = len(self._devices)
            self._devices.append(device)
            self._above[device] = {}
            if len(self._devices) > self._features.devices:
                self._grow(max(16, 2 * self._features.devices))
        return self._places[device]

    def installed(self, device: int, told: dict[str, Any]) -> None:
        """Take what a birth tells: the ages of parts, and the device model."""
        place, names = self.seat(device), self.model.spec.components
        self._zones[place] = zone_limits(self.model.library, told.get("model"))
        for part in told["components"]:
            if part["instance"] in names and part.get("installed_at_ms") is not None:
                which = names.index(part["instance"])
                self._features.observe_installs([place], [which], [part["installed_at_ms"]])

    def frames(self, rows: FrameRows, channels: tuple[str, ...]) -> Words:
        """Take frames whose columns are `channels`; gives what became due."""
        places = np.array([self._places[int(d)] for d in rows.device], dtype=np.int64)
        if channels not in self._columns:
            self._columns[channels] = Columns.of(self.model.channels, channels)
        given = Frames(
            device=places,
            ts_ms=rows.ts_ms,
            phase=rows.phase,
            values=self._columns[channels].taken(rows.values),
            zones=self._zones[places],
        )
        last = self._before.phase.copy()
        told = self.model.derivation.derive(given, self._before)
        due = self._features.observe_frames(places, rows.ts_ms, rows.phase, told)
        return self._words(due, _phases_at(due, given, last))

    def event(self, event: EventRow) -> Words:
        """Take one event: a replaced part, an error code, or nothing to the library."""
        place, spec = self._places[event.device], self.model.spec
        if event.code == PART_REPLACED:
            if event.component in spec.components:
                which = spec.components.index(event.component)
                due = self._features.observe_replacements([place], [event.ts_ms], [which])
                return self._words(due, self._before.phase[due.device])
        elif tells_fault(event.code, event.severity):
            code = self._codes.get(event.code, len(self._codes))
            due = self._features.observe_events([place], [event.ts_ms], [code])
            return self._words(due, self._before.phase[due.device])
        return _SILENCE

    def told(self, words: Words, components: frozenset[str], out: Outputs) -> None:
        """Tell hazards of these components' modes, and predictions where a threshold is met."""
        for i in range(len(words)):
            hazards = [self.hazard(words, i, k) for k in range(len(self.model.modes))]
            mine = [k for k, (name, _) in enumerate(self.model.modes) if name in components]
            out.hazards.extend(hazards[k] for k in mine)
            for k, above in () if words.down[i] else self._changes(hazards, mine):
                out.predictions.append(self._prediction(hazards[k], words, i, k, above=above))

    def reasons(self, words: Words, i: int, k: int) -> tuple[Reason, ...]:
        """Say what speaks for mode k in row i."""
        return self.model.reasons(words.values[i], mode=k)

    def vacate(self, device: int) -> None:
        """Forget a device that goes elsewhere from here on."""
        place = self._places[device]
        self._features.restore(place, FeatureState(self.model.spec, 1).snapshot(0))
        blank = Before.blank(1, len(self.model.channels))
        self._put_before(place, int(blank.ts_ms[0]), int(blank.phase[0]), blank.values[0])
        self._above[device].clear()

    def snapshot(self, device: int) -> ColdState:
        """Give everything that this device's later words depend on."""
        place = self.seat(device)
        return ColdState(
            features=self._features.snapshot(place),
            ts_ms=int(self._before.ts_ms[place]),
            phase=int(self._before.phase[place]),
            values=self._before.values[place].tobytes(),
            above=dict(sorted(self._above[device].items())),
        )

    def restore(self, device: int, state: ColdState) -> None:
        """Put a device's share back.

        Raises:
            SnapshotMismatch: it was taken under a library with another layout.
        """
        place, values = self.seat(device), np.frombuffer(state.values, dtype=np.float64)
        if len(values) != len(self.model.channels):
            raise SnapshotMismatch
        self._features.restore(place, state.features)
        self._put_before(place, state.ts_ms, state.phase, values)
        self._above[device] = dict(state.above)

    def _put_before(self, place: int, ts_ms: int, phase: int, values: Floats) -> None:
        self._before.ts_ms[place], self._before.phase[place] = ts_ms, phase
        self._before.values[place] = values

    def _grow(self, devices: int) -> None:
        self._features.grow(devices)
        self._before.grow(devices)
        more = np.full((devices - len(self._zones), 3), np.nan)
        self._zones = np.concatenate([self._zones, more])

    def _words(self, due: Rows, phase: Ints) -> Words:
        if not len(due):
            return _SILENCE
        forecast = self.model.forecast(weigh(self.model.layout, due.values))
        return Words(
            device=tuple(self._devices[int(d)] for d in due.device),
            ts_ms=tuple(int(ts) for ts in due.ts_ms),
            down=tuple(int(one) in _DOWN for one in phase),
            values=due.values,
            cumulative=forecast.cumulative,
            bands=time_to_failure(forecast.cumulative, HORIZONS_H),
            abstained=forecast.abstained,
        )

    def hazard(self, words: Words, i: int, k: int) -> Hazard:
        """Give mode k's hazard of row i."""
        component, mode = self.model.modes[k]
        cumulative, why = words.cumulative[i, k], Abstention(int(words.abstained[i, k]))
        low, middle, high = (float(h) if np.isfinite(h) else None for h in words.bands[i, k])
        return Hazard(
            device=words.device[i],
            component=component,
            failure_mode=mode,
            ts_ms=words.ts_ms[i],
            probability=float(cumulative[HORIZONS_H.index(ORDER_HORIZON_H)]),
            horizon_h=ORDER_HORIZON_H,
            band_h=(low, middle, high),
            version=self.model.version,
            abstained=None if why is Abstention.NONE else why.name.lower(),
        )

    def _changes(
        self, hazards: Sequence[Hazard], mine: Sequence[int]
    ) -> Iterator[tuple[int, bool]]:
        """Give the modes that stand above the threshold, and those that no longer do.

        One mode a component, the likeliest when it rose: a part is replaced but once.
        """
        by_component: dict[str, list[int]] = {}
        for k in mine:
            by_component.setdefault(hazards[k].component, []).append(k)
        for component, modes in by_component.items():
            standing = self._above[hazards[modes[0]].device]
            likeliest = max(modes, key=lambda k: np.nan_to_num(hazards[k].probability))
            k = standing.get(component, likeliest)
            if hazards[k].probability >= self.model.threshold:
                standing[component] = k
                yield k, True
            elif component in standing:
                del standing[component]
                yield k, False

    def _prediction(
        self, hazard: Hazard, words: Words, i: int, k: int, *, above: bool
    ) -> Prediction:
        reasons = self.reasons(words, i, k) if above else ()
        return Prediction(
            hazard=hazard,
            above=above,
            threshold=self.model.threshold,
            reasons=tuple(msgspec.to_builtins(reason) for reason in reasons),
        )


def _phases_at(due: Rows, frames: Frames, last: Ints) -> Ints:
    """Give the phase in which each device was at each boundary, however frames were batched.

    That of the frame before the first one past the boundary; `last` [devices] is the phase before
    these frames.
    """
    found = np.empty(len(due), dtype=np.int64)
    for i in range(len(due)):
        mine = np.flatnonzero(frames.device == due.device[i])
        past = np.flatnonzero(frames.ts_ms[mine] > due.ts_ms[i])
        before = mine[: past[0]] if len(past) else mine
        found[i] = frames.phase[before[-1]] if len(before) else last[due.device[i]]
    return found
