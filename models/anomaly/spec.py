"""What a cohort's scorer is told, and what it answers."""

import hashlib
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerSpec:
    """Everything that decides a cohort's scores besides its inputs and its prior.

    Lengths are in frames, so that a cohort sampled each second and one sampled each hour are
    treated alike; only the alarm budget and the refractory period are in time.
    """

    channels: tuple[str, ...]
    phases: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Phases that are scored, each with baselines of its own; others are passed over."""
    work: int = 3
    """The phase in which a device does what it is asked for: there its context counts."""
    alarms_per_week: float = 1.0
    """False alarms that one healthy device may raise in a week."""
    context: tuple[str, ...] = ()
    """What a device is asked for and what surrounds it: never judged, but taken out of the rest."""
    refractory_s: float = 6 * 3600.0
    """After an alarm a device raises no other for this long."""
    odd_share: float = 0.01
    """The anomalous state begins at what this share of a healthy device's frames reaches, or at the
    budget's threshold if that is lower; an alarm is raised only beyond the threshold."""
    leave: float = 1.0
    """A frame is calm below this score."""
    clear_frames: int = 10
    """Calm frames in a row that end the anomalous state."""
    release_frames: int = 500
    """A state that has been anomalous for this many frames is learnt as the new normal."""
    jobs: bool = True
    """The device does one job after another, and they differ: what passes by itself was a job, and
    is held against the budget; a channel that mostly repeats itself is read when it moves."""
    gap_factor: float = 20.0
    """A pause of more than this many usual intervals is a gap: fast statistics start again."""
    memory: int = 4000
    """Frames after which a baseline has forgotten all but a third of what it knew."""
    warm_up: int = 30
    """Frames of a channel in a phase, own or the prior's, before it is scored."""

    def __post_init__(self) -> None:
        """Refuse what cannot be scored.

        Raises ValueError: no channels, a channel or phase named twice, a budget that is not
        positive.
        """
        if not self.channels or len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"channels must be named, each once: {self.inputs}")
        if not self.phases or len(set(self.phases)) < len(self.phases):
            raise ValueError(f"phases must be named, each once: {self.phases}")
        if not self.alarms_per_week > 0:
            raise ValueError(f"the alarm budget must be positive, not {self.alarms_per_week}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of what is scored: the channels, and behind them their context."""
        return (*self.channels, *self.context)

    @property
    def digest(self) -> bytes:
        """Eight bytes that differ when any field differs; snapshots and priors carry them."""
        return hashlib.blake2b(repr(astuple(self)).encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One answer per row, in the rows' own order."""

    score: Floats
    """[n] -log10 of the chance that a healthy device shows something as unusual."""
    known: Bools
    """[n] false where nothing can be said; score is 0 there."""
    threshold: Floats
    """[n] the score at which the alarm budget says to act."""
    anomalous: Bools
    """[n] the device's state after this row, with hysteresis."""
    announced: Bools
    """[n] the state has raised its alarm, on this row or before."""
    alarm: Bools
    """[n] true only on the row where an alarm is to be raised."""
    top_channel: Ints
    """[n] index of the channel that contributes most; -1 where not known."""
    contributions: Floats32
    """[n, c] the score shared out over the channels; rows add up to the score."""
    deviation: Floats32
    """[n, c] recent mean deviation in standard deviations, signed; NaN where not known."""
    baseline: Floats
    """[n, c] what this device usually shows in this phase; NaN where not known."""
