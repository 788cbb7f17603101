"""The failure model: feature rows in, probability of failing per component and horizon out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from foremend.errors import ForemendError
from models import deviations, evidence, hazard
from models.features.spec import HOUR_MS
from models.hazard import time_to_failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.features import FeatureSpec

    Floats = NDArray[np.float64]

__all__ = ["Abstention", "FailureModel", "Forecast", "WrongPayload", "time_to_failure"]


WARM_UP_BLOCKS = 6
"""Blocks observed before a device's own baseline is worth comparing with."""


class WrongPayload(ForemendError):
    """These bytes hold no failure model."""


class Abstention(IntEnum):
    """Why a component's probability is not told."""

    NONE = 0
    TOO_FEW_FAILURES = 1
    NO_TELEMETRY = 2
    WARMING_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Probabilities of m rows: `cumulative[m, k, h]` (NaN where abstained), `abstained[m, k]`."""

    cumulative: Floats
    abstained: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureModel:
    """A trained model of one cohort; pure, immutable, and the same on any number of threads.

    `thresholds[k]` is compared with the probability at `order_horizon_h`. `failure_modes` names
    what a failing component is called in the catalogue of failure modes. `columns` are the columns
    of `evidence.COLUMNS` that its `bags` of trees look at.
    """

    spec: FeatureSpec
    prior: deviations.CohortPrior
    signatures: evidence.Signatures
    columns: tuple[int, ...]
    bags: tuple[Any, ...]
    calibration: hazard.Calibration
    horizons_h: tuple[float, ...]
    order_horizon_h: float
    thresholds: tuple[float, ...]
    min_failures: int
    failure_modes: Mapping[str, str]

    def sighted(self, values: NDArray[np.float32]) -> evidence.Sighted:
        """Return rows [m, f] as deviations, codes heard and ages."""
        compared = deviations.compare(self.spec, self.prior, values)
        return evidence.sight(self.spec, compared, values)

    def logits(self, values: NDArray[np.float32]) -> Floats:
        """Return uncalibrated log-odds per interval; [m, k, h]."""
        x = evidence.evidence(self.signatures, self.sighted(values))[:, :, self.columns]
        m, k, e = x.shape
        flat = hazard.logits(self.bags, x.reshape(m * k, e), len(self.horizons_h))
        return flat.reshape(m, k, len(self.horizons_h))

    def predict(self, values: NDArray[np.float32]) -> Forecast:
        """Return the probabilities of failing by each horizon for feature rows [m, f]."""
        told = hazard.cumulative(self.logits(values), self.calibration)
        abstained = self._abstained(values)
        told[abstained != Abstention.NONE] = np.nan
        return Forecast(cumulative=told, abstained=abstained)

    def at_order_horizon(self, forecast: Forecast) -> Floats:
        """Return the probability that thresholds are compared with; [m, k]."""
        at = self.horizons_h.index(self.order_horizon_h)
        chosen: Floats = forecast.cumulative[:, :, at]
        return chosen

    def alarms(self, forecast: Forecast) -> NDArray[np.bool_]:
        """Tell where the probability reaches the component's threshold; [m, k]."""
        due: NDArray[np.bool_] = self.at_order_horizon(forecast) >= np.array(self.thresholds)
        return due

    def dumps(self) -> bytes:
        """Return the model as bytes, for the registry to sign and store."""
        buffer = io.BytesIO()
        joblib.dump(self, buffer, compress=3)
        return buffer.getvalue()

    @staticmethod
    def load(payload: bytes) -> FailureModel:
        """Return the model of `dumps`. Only for bytes whose signature the registry has checked."""
        model = joblib.load(io.BytesIO(payload))
        if not isinstance(model, FailureModel):
            raise WrongPayload
        return model

    def _abstained(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        level = values[:, self.spec.parts["level"]]
        blind = ~np.isfinite(level).any(axis=1)
        out = np.full((len(values), len(self.spec.components)), int(Abstention.NONE))
        observed = values[:, self.spec.parts["device"]][:, 0]
        out[observed * HOUR_MS < WARM_UP_BLOCKS * self.spec.step_ms] = Abstention.WARMING_UP
        out[blind] = Abstention.NO_TELEMETRY
        out[:, self.signatures.failures < self.min_failures] = Abstention.TOO_FEW_FAILURES
        return out
