"""A signature library as a model: feature rows in, probabilities per failure mode out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from models import hazard
from models.diagnosis import Reason, ReasonKind
from models.failure import Abstention, Forecast
from models.features import FeatureSpec
from models.signatures.deriving import Derivation
from models.signatures.library import HORIZONS_H, NO_ORDER, ORDER_HORIZON_H, Calibration
from models.signatures.likelihood import Layout, weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signatures.library import Evidence, Library
    from models.signatures.likelihood import Weighed

    Floats = NDArray[np.float64]

SHY: Final = ((-10.0, (-9.0, -9.0, -8.3, -7.6)), (0.0, (-4.0, -4.0, -3.3, -2.6)))
"""Hazards at two odds that stand in where nothing was fitted."""
SLIGHT: Final = 0.2
"""Log-likelihood ratio below which a reason is left out."""


@dataclass(frozen=True, kw_only=True)
class SignatureModel:
    """What a library says of rows made for it; pure, immutable.

    >>> from models.signatures.reading import shipped
    >>> model = SignatureModel(library=shipped()["fdm_printer"])
    >>> model.modes[0]
    ('hotend_heater', 'heater_degradation')
    """

    library: Library

    @property
    def version(self) -> str:
        """What predictions name as their model."""
        return self.library.name

    @cached_property
    def modes(self) -> tuple[tuple[str, str], ...]:
        """Component and failure mode, in the order of forecasts."""
        return tuple((m.component, m.failure_mode) for m in self.library.modes)

    @cached_property
    def derivation(self) -> Derivation:
        """How its subjects are made of a device's channels."""
        return Derivation.of(self.library)

    @property
    def channels(self) -> tuple[str, ...]:
        """Device channels that it looks at."""
        return self.derivation.channels

    @cached_property
    def spec(self) -> FeatureSpec:
        """The layout of its rows: subjects in place of channels."""
        return FeatureSpec(
            family=self.library.family,
            channels=self.library.subjects,
            components=self.library.components,
            codes=self.library.codes,
            channel_component=tuple(self._tied(s) for s in self.library.subjects),
        )

    @cached_property
    def layout(self) -> Layout:
        """Where the evidence stands in a row."""
        return Layout.of(self.library, self.spec)

    @cached_property
    def calibration(self) -> Calibration:
        """What was fitted for this evidence, or shy figures where nothing was."""
        fitted = self.library.calibration
        return fitted if fitted is not None and self.library.calibrated else uncalibrated(self)

    @property
    def threshold(self) -> float:
        """Probability at the order horizon from which an order may open."""
        return self.calibration.threshold

    def predict(self, values: NDArray[np.float32]) -> Forecast:
        """Return the probability of each mode's failure by each horizon, for rows [m, f].

        `cumulative[m, k, h]` over the modes and `HORIZONS_H`; NaN where nothing is known yet.
        """
        return self.forecast(weigh(self.layout, values))

    def forecast(self, weighed: Weighed) -> Forecast:
        """Return the probabilities of rows already weighed."""
        told = hazard.cumulative(self.logits(weighed.odds), hazard.Calibration())
        told[~weighed.known] = np.nan
        abstained = np.where(weighed.known, int(Abstention.NONE), int(Abstention.WARMING_UP))
        return Forecast(cumulative=told, abstained=abstained)

    def logits(self, odds: Floats) -> Floats:
        """Return the logit of the hazard in each interval at odds [m, k]; [m, k, h]."""
        fitted = self.calibration
        hazards, shifts = np.array(fitted.hazards), np.array(fitted.shifts)
        lines = [np.interp(odds, fitted.knots, hazards[:, h]) for h in range(len(HORIZONS_H))]
        told: Floats = np.stack(lines, axis=2) + shifts[:, None]
        return told

    @staticmethod
    def at_order_horizon(forecast: Forecast) -> Floats:
        """Return the probability that the threshold is compared with; [m, k]."""
        chosen: Floats = forecast.cumulative[:, :, HORIZONS_H.index(ORDER_HORIZON_H)]
        return chosen

    def reasons(
        self, values: NDArray[np.float32], *, mode: int, top: int = 5
    ) -> tuple[Reason, ...]:
        """Return what speaks for one mode in one row [f], the strongest first."""
        row = values[None, :]
        weighed = weigh(self.layout, row)
        found = [*self._shown(weighed, mode), *self._codes(weighed, row, mode)]
        ranked = sorted(found, key=lambda r: (-r.weight, r.kind.value, r.subject))
        return tuple(ranked[:top])

    def _shown(self, weighed: Weighed, mode: int) -> list[Reason]:
        best: dict[str, Reason] = {}
        for i in np.flatnonzero(self.layout.owner == mode):
            ratio = float(weighed.ratio[0, i])
            item = self.layout.items[i]
            known = best.get(item.subject)
            if ratio >= SLIGHT and (known is None or ratio > known.weight):
                best[item.subject] = self._reason(item, weighed, int(i), ratio)
        return list(best.values())

    def _reason(self, item: Evidence, weighed: Weighed, i: int, ratio: float) -> Reason:
        feature = self.library.feature(item.subject)
        now, usual = float(weighed.now[0, i]), float(weighed.usual[0, i])
        told: dict[str, float | str] = {"level": item.level, "now": now, "source": item.source}
        if feature is not None:
            told |= {"channel": feature.channel, "unit": feature.unit}
        if not item.absolute:
            told |= {"usual": usual, "sigmas": float(weighed.z[0, i])}
            if abs(usual) > 1e-9:  # noqa: PLR2004 - no share of nothing
                told["change_percent"] = 100.0 * (now - usual) / abs(usual)
        kind = ReasonKind.CHANNEL if feature is None else ReasonKind.FEATURE
        return Reason(kind=kind, subject=item.subject, weight=ratio, parameters=told)

    def _codes(self, weighed: Weighed, row: NDArray[np.float32], mode: int) -> list[Reason]:
        parts, codes = self.spec.parts, self.library.modes[mode].codes
        heard = {c.code: c for c in codes}
        found = []
        for q, name in enumerate(self.spec.codes):
            ratio = float(weighed.code_ratio[0, mode, q])
            if ratio > 0.0:
                told: dict[str, float | str] = {
                    "count_day": float(row[0, parts["count_day"]][q]),
                    "hours_ago": float(row[0, parts["hours_since"]][q]),
                    "source": heard[name].source,
                }
                found.append(
                    Reason(kind=ReasonKind.CODE, subject=name, weight=ratio, parameters=told)
                )
        return found

    def _tied(self, subject: str) -> int:
        """Give the component whose replacement makes a subject's baseline be learnt anew.

        That is the one it speaks for most strongly.
        """
        speaks = [
            (abs(e.weight), mode.component)
            for mode in self.library.modes
            for e in mode.evidence
            if e.subject == subject
        ]
        most = max(weight for weight, _ in speaks)
        strongest = next(component for weight, component in speaks if weight == most)
        return self.library.components.index(strongest)


def uncalibrated(model: SignatureModel) -> Calibration:
    """Give shy figures that open no order, until a library is calibrated."""
    return Calibration(
        knots=tuple(odds for odds, _ in SHY),
        hazards=tuple(hazards for _, hazards in SHY),
        shifts=(0.0,) * len(model.modes),
        threshold=NO_ORDER,
        evidence="",
        source="none: shy figures, and no order, until this library is calibrated",
    )
