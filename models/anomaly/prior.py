"""What a cohort is like before one has seen a device: an immutable, versioned set of arrays."""

import hashlib
import io
import struct
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np

from foremend.errors import ForemendError, Remedy
from models.anomaly.spec import Floats, ScorerSpec
from models.anomaly.state import CLIMB_BINS, STATISTICS
from models.exceedance import EDGES

_HEAD = struct.Struct("<4s8s16s")
_MAGIC = b"FMP2"
OUTDATED = b"FMP1"
"""How priors of the layout before this one begin; none of their specifications is in use."""


class PriorRefused(ForemendError):
    """The prior is damaged, unknown here, or of a cohort with another specification."""

    remedy: ClassVar[Remedy] = Remedy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortPrior:
    """Baselines, shared covariance and calibration of a cohort; p phases, c channels.

    A device with n frames of its own uses (n own + n0 prior) / (n + n0) of each.
    """

    digest: bytes
    """`ScorerSpec.digest` of the specification it was fitted for."""
    centre: Floats
    """[p, c] mean over devices of their usual values."""
    spread: Floats
    """[p, c] standard deviation within a device."""
    between: Floats
    """[p, c] standard deviation of `centre` from device to device."""
    step: Floats
    """[p, c] standard deviation of successive differences within a device."""
    wander: Floats
    """[p, c] standard deviation of the running mean of standardised residuals."""
    weight: Floats
    """[p, c] n0: frames that this prior counts for; 0 where nothing is known."""
    independent: Floats
    """[p, c] independent frames from which the level is known; a slow channel shows few."""
    correlation: Floats
    """[c, c] covariance of standardised residuals within a device."""
    usual: Floats
    """[m] features of the context at work, for which `centre` is meant."""
    spread_of_context: Floats
    """[m (m + 1) / 2] their covariance within a device."""
    cross: Floats
    """[m, c] their covariance with the channels."""
    path: Floats
    """[m] how far a device moved in each while it was watched."""
    taught: Floats
    """[1] frames that the context counts for; 0 where nothing is known."""
    tails: Floats
    """[k + 1, b] exceedance tables, scaled to the number of values they count for."""
    climbs: Floats
    """[c, b] exceedance tables of each channel's CUSUM, likewise."""
    cadence_s: float
    """Usual time between two frames; 0 where not known."""

    @property
    def version(self) -> int:
        """A 63-bit hash of the content: equal priors are one version; never 0."""
        content = hashlib.blake2b(self._content(), digest_size=8).digest()
        return max(1, int.from_bytes(content, "little") >> 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CohortPrior) and self._content() == other._content()

    def __hash__(self) -> int:
        return self.version

    def to_bytes(self) -> bytes:
        """The prior as bytes that need no pickle to read."""
        content = self._content()
        check = hashlib.blake2b(content, digest_size=16).digest()
        return _HEAD.pack(_MAGIC, self.digest, check) + content

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises PriorRefused where it is damaged."""
        content = stored[_HEAD.size :]
        if len(stored) < _HEAD.size:
            raise PriorRefused
        magic, digest, check = _HEAD.unpack_from(stored)
        if magic != _MAGIC or check != hashlib.blake2b(content, digest_size=16).digest():
            raise PriorRefused
        source = io.BytesIO(content)
        found = {
            field.name: np.lib.format.read_array(source, allow_pickle=False)
            for field in fields(cls)[1:]
        }
        return cls(digest=digest, **found | {"cadence_s": found["cadence_s"].item()})

    def require(self, spec: ScorerSpec) -> None:
        """Raise PriorRefused unless it was fitted for this specification."""
        if self.digest != spec.digest:
            raise PriorRefused

    def _content(self) -> bytes:
        out = io.BytesIO()
        for field in fields(self)[1:]:
            values = np.ascontiguousarray(getattr(self, field.name), np.float64)
            np.lib.format.write_array(out, values, allow_pickle=False)
        return out.getvalue()


def empty_prior(spec: ScorerSpec) -> CohortPrior:
    """The prior of a cohort of which nothing is known: every weight is 0."""
    shape = (len(spec.phases), len(spec.channels))
    features = 2 * len(spec.context)
    return CohortPrior(
        digest=spec.digest,
        centre=np.zeros(shape),
        spread=np.zeros(shape),
        between=np.zeros(shape),
        step=np.zeros(shape),
        wander=np.zeros(shape),
        weight=np.zeros(shape),
        independent=np.zeros(shape),
        correlation=np.eye(shape[1]),
        usual=np.zeros(features),
        spread_of_context=np.zeros(features * (features + 1) // 2),
        cross=np.zeros((features, shape[1])),
        path=np.zeros(features),
        taught=np.zeros(1),
        tails=np.zeros((len(STATISTICS) + 1, len(EDGES))),
        climbs=np.zeros((shape[1], CLIMB_BINS)),
        cadence_s=0.0,
    )
