"""The model of remaining life: rows of features in, quantiles of the cycles left out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from foremend.errors import ForemendError
from models.rul import features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.rul.features import View
    from models.rul.intervals import Band
    from models.rul.lives import Lives

    Floats = NDArray[np.float64]


class WrongPayload(ForemendError):
    """These bytes hold no model of remaining life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulModel:
    """A trained model; pure, immutable, and the same on any number of threads.

    Remaining life is told up to `cap` cycles: beyond it nothing that is measured tells more from
    less. `band` is None where too few devices have failed: then it abstains. `devices` is how many
    taught it.
    """

    view: View
    bags: tuple[Any, ...]
    band: Band | None
    cap: float
    devices: int

    def columns(self, lives: Lives) -> Floats:
        """Return the features of every row; [m, f]."""
        return features.columns(self.view, lives)

    def expected(self, columns: Floats) -> Floats:
        """Return the expected cycles left for feature rows [m, f]; [m]."""
        if len(columns) == 0:
            return np.empty(0)
        with threadpool_limits(limits=1):
            told = [np.asarray(trees.predict(columns), dtype=float) for trees in self.bags]
        return np.asarray(np.clip(np.mean(told, axis=0), 0.0, self.cap))

    def predict(self, columns: Floats) -> Floats:
        """Return P10, P50 and P90 of the cycles left; [m, 3], NaN where it abstains."""
        if self.band is None:
            return np.full((len(columns), 3), np.nan)
        return self.band.around(self.expected(columns), self.cap)

    def dumps(self) -> bytes:
        """Return the model as bytes, for the registry to sign and store."""
        buffer = io.BytesIO()
        joblib.dump(self, buffer, compress=3)
        return buffer.getvalue()

    @staticmethod
    def load(payload: bytes) -> RulModel:
        """Return the model of `dumps`. Only for bytes whose signature the registry has checked."""
        model = joblib.load(io.BytesIO(payload))
        if not isinstance(model, RulModel):
            raise WrongPayload
        return model
