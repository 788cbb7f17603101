"""The fleet scorer: slots for devices, waves of frames, snapshots and priors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models import calibration
from models.anomaly import context
from models.anomaly.learn import refresh
from models.anomaly.prior import CohortPrior, PriorRefused
from models.anomaly.spec import Ints, ScorerSpec, Scores
from models.anomaly.state import EMPTY, ScorerState
from models.anomaly.step import step
from models.anomaly.versions import NO_PRIOR, PriorVersions, extended, no_priors
from models.anomaly.view import Frames, Setting
from models.anomaly.waves import is_wave, waves


class FleetScorer:
    """Scores the frames of one cohort; see the package's docstring for the whole of its use."""

    def __init__(self, spec: ScorerSpec, prior: CohortPrior | None = None) -> None:
        self.spec = spec
        columns = {name: place for place, name in enumerate(spec.channels)}
        self._columns = columns
        self._setting = Setting(
            spec=spec,
            rule=calibration.AlarmRule(
                clear_frames=spec.clear_frames,
                refractory_s=spec.refractory_s,
            ),
        )
        self._places = _phase_places(spec.phases)
        self.state = ScorerState(spec)
        """Every device, by slot; read it, and let `score` alone write it."""
        self._slots: dict[int | str, int] = {}
        self._priors: PriorVersions = no_priors(spec)
        self._newest = NO_PRIOR
        if prior is not None:
            self.adopt(prior)

    @property
    def devices(self) -> Sequence[int | str]:
        """The known devices in the order of their slots."""
        return tuple(self._slots)

    @property
    def bytes_per_device(self) -> int:
        """What one device takes in memory."""
        return self.state.bytes_per_device

    def slot(self, device: int | str, *, free: bool = False) -> int:
        """The device's place in the arrays; a new device gets one, and the newest prior.

        One that learns `free` goes on learning while it is anomalous, and holds every channel
        against its long-run level alone: its score tells what is new, not what still lasts.
        """
        if device not in self._slots:
            place = self.state.take()
            self._slots[device] = place
            self.state.free[place] = free
            self._use(self._newest, np.array([place]))
        return self._slots[device]

    def score(
        self,
        slots: npt.ArrayLike,
        ts_ms: npt.ArrayLike,
        phase: npt.ArrayLike,
        values: npt.ArrayLike,
        quality: npt.ArrayLike | None = None,
        *,
        healthy: npt.ArrayLike | None = None,
    ) -> Scores:
        """Score n frames, then learn from each; several of one device stand in its order.

        Shapes: [n] each, values [n, c]; infinite values count as missing. Frames that are known to
        be `healthy` are scored, begin nothing and are learnt from. Raises IndexError for a slot
        that `slot` did not give, ValueError where lengths differ.
        """
        frames = self._frames(slots, ts_ms, phase, values, quality, healthy)
        if is_wave(frames.slots):
            return step(self.state, self._priors, self._setting, frames)
        out = _blank(len(frames.slots), len(self.spec.channels))
        for rows in waves(frames.slots):
            part = step(self.state, self._priors, self._setting, _taken(frames, rows))
            for name in Scores.__slots__:
                getattr(out, name)[rows] = getattr(part, name)
        return out

    def reset(
        self, slot: int, channels: Sequence[str] | None = None, ts_ms: int | None = None
    ) -> None:
        """Forget what a replaced part made of these channels, or all that was learnt.

        The anomalous state ends. `ts_ms` is when the part was replaced: for the refractory period
        after it no alarm is raised, because somebody has just been at the device.
        """
        state = self.state
        if channels is None:
            state.clear(slot)
        else:
            self._forget(slot, np.array([self._columns[name] for name in channels]))
        if ts_ms is not None:
            state.last_alarm[slot] = ts_ms
        context.seed(state, self._priors, np.array([slot]))
        refresh(state, self._priors, np.array([slot]))

    def adopt(self, prior: CohortPrior | None, slots: npt.ArrayLike | None = None) -> None:
        """Use a prior, or None, from here on: for these slots, or for all, also those to come.

        Raises PriorRefused for a prior of another specification.
        """
        version = NO_PRIOR if prior is None else prior.version
        if prior is not None:
            self.know(prior)
        if slots is None:
            self._newest = version
            slots = np.arange(self.state.used)
        self._use(version, np.asarray(slots, dtype=np.int64))

    def know(self, prior: CohortPrior) -> None:
        """Make a prior known, so that snapshots of devices that use it can be restored."""
        self._priors = extended(self._priors, self.spec, prior)

    def snapshot(self, slot: int) -> bytes:
        """Everything that later scores of this device depend on; equal states, equal bytes."""
        return self.state.dump(slot)

    def restore(self, slot: int, snapshot: bytes) -> None:
        """Put a snapshot back.

        Raises SnapshotRefused (damaged, another specification), PriorRefused (a prior in use that
        `know` or `adopt` has not seen); the slot is then blank.
        """
        self.state.load(slot, snapshot)
        try:
            self.state.which[slot] = self._priors.which(int(self.state.prior[slot]))
        except PriorRefused:
            self.state.clear(slot)
            self._use(NO_PRIOR, np.array([slot]))
            raise

    def _use(self, version: int, slots: Ints) -> None:
        self.state.prior[slots] = version
        self.state.which[slots] = self._priors.which(version)
        context.seed(self.state, self._priors, slots)
        refresh(self.state, self._priors, slots)

    def _frames(
        self,
        slots: npt.ArrayLike,
        ts_ms: npt.ArrayLike,
        phase: npt.ArrayLike,
        values: npt.ArrayLike,
        quality: npt.ArrayLike | None,
        healthy: npt.ArrayLike | None,
    ) -> Frames:
        at = np.asarray(slots, dtype=np.int64)
        phases = np.asarray(phase, dtype=np.int16)
        shape = (len(at), len(self.spec.inputs))
        told = np.asarray(values, dtype=np.float64)
        if told.shape != shape:
            raise ValueError(f"expected values of shape {shape}")
        judged = len(self.spec.channels)
        frames = Frames(
            slots=at,
            ts_ms=np.asarray(ts_ms, dtype=np.int64),
            phase=phases,
            place=self._places[phases.view(np.uint16)],
            values=np.ascontiguousarray(told[:, :judged]),
            context=told[:, judged:],
            quality=np.zeros(len(at), np.int64) if quality is None else _integers(quality),
            healthy=np.zeros(len(at), np.bool_) if healthy is None else np.asarray(healthy, bool),
        )
        sizes = {len(getattr(frames, name)) for name in Frames.__slots__}
        if len(sizes) > 1:
            raise ValueError(f"expected {shape[0]} rows and values of shape {shape}")
        if len(at) and (at.min() < 0 or at.max() >= self.state.used):
            raise IndexError("no device has such a slot")
        return frames

    def _forget(self, slot: int, columns: Ints) -> None:
        state = self.state
        state.centre[slot][:, columns] = 0.0
        state.levels[slot][:, :, columns] = 0.0
        state.motion[slot][:, columns] = np.nan
        state.trend[slot][:, columns] = 0.0
        state.climbs[slot][columns] = 0
        state.told[slot][columns] = np.nan
        state.repeats[slot][columns] = 0.0
        state.pending[slot] = EMPTY
        state.anomalous[slot] = state.announced[slot] = False
        state.calm[slot] = state.held[slot] = 0
        state.peak[slot] = 0.0
        state.evidence[slot] = calibration.USUAL
        first, second = np.triu_indices(len(self.spec.channels))
        touched = np.isin(first, columns) | np.isin(second, columns)
        state.pairs[slot, 1:][touched] = (first == second)[touched]


def _phase_places(phases: tuple[int, ...]) -> Ints:
    places = np.full(2**16, -1, dtype=np.int64)
    places[np.array(phases, dtype=np.int16).view(np.uint16)] = np.arange(len(phases))
    return places


def _integers(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _taken(frames: Frames, rows: Ints) -> Frames:
    return Frames(**{name: getattr(frames, name)[rows] for name in Frames.__slots__})


def _blank(rows: int, channels: int) -> Scores:
    return Scores(
        score=np.zeros(rows),
        known=np.zeros(rows, np.bool_),
        threshold=np.zeros(rows),
        anomalous=np.zeros(rows, np.bool_),
        announced=np.zeros(rows, np.bool_),
        alarm=np.zeros(rows, np.bool_),
        top_channel=np.full(rows, -1, np.int64),
        contributions=np.zeros((rows, channels), np.float32),
        deviation=np.zeros((rows, channels), np.float32),
        baseline=np.zeros((rows, channels)),
    )
