"""One failure model and the features of the devices that follow it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from foremend.values import PART_REPLACED, tells_fault
from models import diagnosis
from models.failure import Abstention, time_to_failure
from models.features import FeatureState
from models.scoring.entries import Hazard, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from models.diagnosis import Reason
    from models.failure import FailureModel, Forecast
    from models.features import Rows
    from models.scoring.entries import EventRow, FrameRows, Outputs

    Ints = NDArray[np.int64]


class PrognosisState(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share of a prognosis, as a snapshot keeps it."""

    features: bytes
    above: tuple[int, ...]
    """Components whose last evaluation stood above the threshold."""
    modes: tuple[str, ...] = ()
    """What each of them was said to fail of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What is thought of one component at one instant; `mode` names what a prediction tells of."""

    hazard: Hazard
    mode: str
    threshold: float
    reasons: Callable[[], tuple[Reason, ...]]


class Second(Protocol):
    """Somebody whose opinion is weighed as well."""

    def joined(self, opinion: Opinion, labels: int) -> Opinion:
        """Give the common opinion; `labels` are the failures that this model learnt from."""


@dataclass(slots=True, eq=False)
class Prognosis:
    """Evaluates every device that follows one version of one model."""

    version: str
    model: FailureModel
    second: Second | None = None
    _features: FeatureState = field(init=False)
    _places: dict[int, int] = field(default_factory=dict)
    _devices: list[int] = field(default_factory=list)
    _above: dict[int, dict[int, str]] = field(default_factory=dict)
    _columns: dict[tuple[str, ...], Ints] = field(default_factory=dict)
    _codes: dict[str, int] = field(init=False)
    _blank: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._features = FeatureState(self.model.spec)
        self._codes = {code: i for i, code in enumerate(self.model.spec.codes)}
        self._blank = FeatureState(self.model.spec, 1).snapshot(0)

    def seat(self, device: int) -> int:
        """Give the device's place, making room for a new one."""
        if device not in self._places:
            self._places[device] = len(self._devices)
            self._devices.append(device)
            self._above[device] = {}
            if len(self._devices) > self._features.devices:
                self._features.grow(max(16, 2 * self._features.devices))
        return self._places[device]

    def installed(self, device: int, components: Sequence[dict[str, Any]]) -> None:
        """Take the ages of parts that a birth tells."""
        place, names = self.seat(device), self.model.spec.components
        for part in components:
            if part["instance"] in names and part.get("installed_at_ms") is not None:
                which = names.index(part["instance"])
                self._features.observe_installs([place], [which], [part["installed_at_ms"]])

    def frames(
        self, rows: FrameRows, channels: tuple[str, ...], score: NDArray[np.float64], out: Outputs
    ) -> None:
        """Take frames whose columns are `channels`, with the fleet scorer's word on each."""
        places = np.array([self._places[int(d)] for d in rows.device], dtype=np.int64)
        known = self._by_spec(channels, rows.values)
        due = self._features.observe_frames(places, rows.ts_ms, rows.phase, known, score)
        self._evaluate(due, out)

    def event(self, event: EventRow, out: Outputs) -> None:
        """Take one event: a replaced part, an error code, or nothing to the model."""
        place, spec = self._places[event.device], self.model.spec
        if event.code == PART_REPLACED:
            if event.component in spec.components:
                which = spec.components.index(event.component)
                due = self._features.observe_replacements([place], [event.ts_ms], [which])
                self._evaluate(due, out)
        elif tells_fault(event.code, event.severity):
            code = self._codes.get(event.code, len(self._codes))
            self._evaluate(self._features.observe_events([place], [event.ts_ms], [code]), out)

    def vacate(self, device: int) -> None:
        """Forget a device that follows another version from here on."""
        self._features.restore(self._places[device], self._blank)
        self._above[device].clear()

    def snapshot(self, device: int) -> PrognosisState:
        """Give everything that this device's later predictions depend on."""
        standing = sorted(self._above[device].items())
        return PrognosisState(
            features=self._features.snapshot(self.seat(device)),
            above=tuple(k for k, _ in standing),
            modes=tuple(mode for _, mode in standing),
        )

    def restore(self, device: int, state: PrognosisState) -> None:
        """Put a device's share back.

        Raises:
            SnapshotMismatch: it was taken under a model with another layout of features.
        """
        self._features.restore(self.seat(device), state.features)
        self._above[device] = dict(zip(state.above, state.modes, strict=True))

    def _by_spec(
        self, channels: tuple[str, ...], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Put the device's columns into the model's order; what it lacks is missing."""
        if channels not in self._columns:
            places = {name: i for i, name in enumerate(channels)}
            wanted = [places.get(name, len(channels)) for name in self.model.spec.channels]
            self._columns[channels] = np.array(wanted, dtype=np.int64)
        padded = np.column_stack([values, np.full(len(values), np.nan)])
        known: NDArray[np.float64] = padded[:, self._columns[channels]]
        return known

    def _evaluate(self, due: Rows, out: Outputs) -> None:
        if not len(due):
            return
        forecast = self.model.predict(due.values)
        probability = self.model.at_order_horizon(forecast)
        bands = time_to_failure(forecast.cumulative, self.model.horizons_h)
        for i in range(len(due)):
            device = self._devices[int(due.device[i])]
            for k in range(len(self.model.spec.components)):
                hazard = self._hazard(device, int(due.ts_ms[i]), i, k, probability, forecast, bands)
                opinion = Opinion(
                    hazard=hazard,
                    mode=hazard.failure_mode,
                    threshold=self.model.thresholds[k],
                    reasons=partial(diagnosis.reasons, self.model, due.values[i], component=k),
                )
                if self.second is not None:
                    opinion = self.second.joined(opinion, int(self.model.signatures.failures[k]))
                out.hazards.append(opinion.hazard)
                self._tell(opinion, k, out)

    def _hazard(
        self,
        device: int,
        ts_ms: int,
        i: int,
        k: int,
        probability: NDArray[np.float64],
        forecast: Forecast,
        bands: NDArray[np.float64],
    ) -> Hazard:
        component = self.model.spec.components[k]
        why = Abstention(int(forecast.abstained[i, k]))
        low, middle, high = (float(h) if np.isfinite(h) else None for h in bands[i, k])
        return Hazard(
            device=device,
            component=component,
            failure_mode=self.model.failure_modes.get(component, "failure"),
            ts_ms=ts_ms,
            probability=float(probability[i, k]),
            horizon_h=self.model.order_horizon_h,
            band_h=(low, middle, high),
            version=self.version,
            abstained=None if why is Abstention.NONE else why.name.lower(),
        )

    def _tell(self, opinion: Opinion, k: int, out: Outputs) -> None:
        """Tell a component that stands above its threshold, and the first time it no longer does.

        The mode is the one named when it rose: what was opened under one name ends under it.
        """
        hazard = opinion.hazard
        above, standing = hazard.probability >= opinion.threshold, self._above[hazard.device]
        if not above and k not in standing:
            return
        mode = standing.pop(k, opinion.mode)
        if above:
            standing[k] = mode
        out.predictions.append(
            Prediction(
                hazard=replace(hazard, failure_mode=mode),
                above=above,
                threshold=opinion.threshold,
                reasons=tuple(msgspec.to_builtins(r) for r in (opinion.reasons() if above else ())),
            )
        )
