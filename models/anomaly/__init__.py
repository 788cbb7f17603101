"""The fleet scorer: how unusual is this frame for this device, in this phase.

One `FleetScorer` holds one cohort (devices with the same channels). All state is NumPy arrays,
devices x channels x phase; what one device's state becomes depends on that device's inputs in
order and on nothing else, byte for byte, however the rows were batched.

    spec = ScorerSpec(channels=("hotend_c", "fan_rpm"), alarms_per_week=1.0)
    scorer = FleetScorer(spec)                  # or FleetScorer(spec, prior)
    slot = scorer.slot("printer-01")            # new devices grow the arrays
    out = scorer.score(slots, ts_ms, phase, values, quality)
        # slots  int[n]       from `slot`; rows of one device in that device's order
        # ts_ms  int64[n]     milliseconds since the epoch
        # phase  int16[n]     phases that `spec.phases` does not name are not scored
        # values float64[n,c] NaN where a channel is missing; behind them `spec.context`
        # quality int16[n]    0 good; 1 stale is unknown; 2 suspect is scored, never learnt from
    out.score, out.known, out.anomalous, out.alarm, out.threshold, out.top_channel
    out.contributions, out.deviation, out.baseline                     # each [n, c]
    scorer.reset(slot, channels=("fan_rpm",))   # after a part was replaced; None is all channels
    scorer.adopt(prior)                         # from here on, for all devices, or `slots=` only
    scorer.snapshot(slot) -> bytes; scorer.restore(slot, snapshot)
    prior = fit_prior(spec, device=..., ts_ms=..., phase=..., values=...)
    CohortPrior.from_bytes(prior.to_bytes()) == prior; prior.version   # a hash of the content

Each row is scored before it is learnt from. Where `known` is false (unscored phase, stale values,
too little history) the score is 0.0 and says nothing.
"""

from models.anomaly.fitting import fit_prior
from models.anomaly.prior import CohortPrior, PriorRefused
from models.anomaly.scorer import FleetScorer
from models.anomaly.spec import ScorerSpec, Scores
from models.anomaly.state import SnapshotRefused

__all__ = [
    "CohortPrior",
    "FleetScorer",
    "PriorRefused",
    "ScorerSpec",
    "Scores",
    "SnapshotRefused",
    "fit_prior",
]
