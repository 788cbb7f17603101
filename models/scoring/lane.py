"""A lane: the fleet scorer, its digests, drift and a second opinion for one list of channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.anomaly import FleetScorer, ScorerSpec
from models.detectors import SecondOpinion
from models.digest import Digests
from models.drift import DriftKind, DriftWatch
from models.priors import context_columns, scored_columns
from models.scoring.entries import Anomaly, Health
from models.scoring.roll import Roll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.anomaly import Scores
    from models.digest import Digest
    from models.priors import PriorSet
    from models.scoring.entries import FrameRows, Outputs

    Ints = NDArray[np.int64]

SECOND_OPINION: Final = "half_space_trees"
TOP: Final = 3
"""Channels named in the evidence of an alarm."""


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share of a lane, as a snapshot keeps it."""

    scorer: bytes
    digest: bytes
    opinion: bytes
    drift: bytes
    anomalous: bool


@dataclass(slots=True)
class _Seat:
    """What a lane keeps of one device besides the arrays."""

    device: int
    opinion: SecondOpinion
    drift: DriftWatch


@dataclass(slots=True, eq=False)
class Lane:
    """All devices whose births told the same channels."""

    channels: tuple[str, ...]
    components: tuple[str | None, ...]
    """Per channel, the component instance whose condition it tells."""
    scored: tuple[int, ...]
    """Columns that are scored: settings and counters are not measurements of health."""
    context: tuple[int, ...] = ()
    """Columns in whose light they are scored."""
    digested: bool = True
    """Whether hourly digests are judged too: health, drift and the second opinion follow."""
    scorer: FleetScorer = field(init=False)
    _digests: Digests = field(init=False)
    _seats: dict[int, _Seat] = field(default_factory=dict)
    _slots: Roll = field(default_factory=Roll)
    _anomalous: NDArray[np.bool_] = field(init=False)
    """Per slot, the state that was told last."""

    def __post_init__(self) -> None:
        self.scorer = FleetScorer(
            ScorerSpec(channels=self.names, context=tuple(self.channels[i] for i in self.context))
        )
        self._digests = Digests(len(self.scored))
        self._anomalous = np.zeros(16, np.bool_)

    @classmethod
    def of_channels(cls, channels: Sequence[dict[str, Any]], *, digested: bool = True) -> Lane:
        """Make the lane that a birth's channels ask for."""
        return cls(
            channels=tuple(c["name"] for c in channels),
            components=tuple(c.get("component") for c in channels),
            scored=scored_columns(channels),
            context=context_columns(channels),
            digested=digested,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The scored channels."""
        return tuple(self.channels[i] for i in self.scored)

    def seat(self, device: int) -> int:
        """Give the device's slot, making room for a new one."""
        slot = self.scorer.slot(device)
        self._slots.put(device, slot)
        if slot >= len(self._anomalous):
            self._anomalous = np.concatenate([self._anomalous, np.zeros_like(self._anomalous)])
        if slot not in self._seats:
            self._anomalous[slot] = False
            self._seats[slot] = _Seat(
                device, SecondOpinion(SECOND_OPINION, self.names), DriftWatch(DriftKind.SCORE_TAIL)
            )
        return slot

    def adopt(self, device: int, priors: PriorSet | None) -> None:
        """Let a device begin from what its family is like, as far as it has not learnt it itself.

        Nothing happens where it does so already.
        """
        slot = self.scorer.slot(device)
        prior = None if priors is None else priors.of(self.scorer.spec)
        if int(self.scorer.state.prior[slot]) != (0 if prior is None else prior.version):
            self.scorer.adopt(prior, [slot])

    def score(self, rows: FrameRows, out: Outputs) -> NDArray[np.float64]:
        """Score frames, tell what follows, and give each frame's score; [n]."""
        slots = self._slots.at(rows.device)
        values = rows.values[:, (*self.scored, *self.context)]
        scores = self.scorer.score(slots, rows.ts_ms, rows.phase, values, rows.quality)
        told = self._drifts(slots, rows.ts_ms, scores, out) if self.digested else []
        told += self._changes(slots, rows, values, scores)
        # In the order of the rows that brought them about, wherever a batch was cut.
        out.anomalies += [anomaly for *_, anomaly in sorted(told, key=lambda one: one[:2])]
        return np.where(scores.known, scores.score, np.nan)

    def replaced(self, device: int, component: str, ts_ms: int) -> None:
        """Learn anew what the replaced part determines."""
        slot = self.scorer.slot(device)
        tied = [self.channels[i] for i in self.scored if self.components[i] == component]
        self.scorer.reset(slot, tied or None, ts_ms)
        self._digests.clear(slot)
        seat = self._seats[slot]
        seat.opinion.reset()
        seat.drift.reset()

    def vacate(self, device: int) -> None:
        """Forget a device that tells other channels from here on; it may come back as a new one."""
        slot = self.scorer.slot(device)
        self.scorer.reset(slot)
        self._digests.clear(slot)
        del self._seats[slot]

    def snapshot(self, device: int) -> LaneState:
        """Give everything that this device's later outputs depend on."""
        slot = self.scorer.slot(device)
        seat = self._seats[slot]
        return LaneState(
            scorer=self.scorer.snapshot(slot),
            digest=self._digests.snapshot(slot),
            opinion=seat.opinion.snapshot(),
            drift=seat.drift.snapshot(),
            anomalous=bool(self._anomalous[slot]),
        )

    def restore(self, device: int, state: LaneState) -> None:
        """Put a device's share back."""
        slot = self.seat(device)
        self.scorer.restore(slot, state.scorer)
        self._digests.restore(slot, state.digest)
        seat = self._seats[slot]
        seat.opinion.restore(state.opinion)
        seat.drift.restore(state.drift)
        self._anomalous[slot] = state.anomalous

    def _drifts(
        self, slots: Ints, ts_ms: Ints, scores: Scores, out: Outputs
    ) -> list[tuple[int, int, Anomaly]]:
        """Judge the hours that are complete; give what has drifted, each with its row."""
        told: list[tuple[int, int, Anomaly]] = []
        for digest in self._digests.add(slots, ts_ms, scores.deviation, scores.score, scores.known):
            anomalous = self._anomalous_before(digest, slots, ts_ms, scores)
            drift = self._judge(digest, anomalous, out)
            if drift is not None:
                told.append((self._closing_row(digest, slots, ts_ms, scores), 0, drift))
        return told

    def _anomalous_before(self, digest: Digest, slots: Ints, ts_ms: Ints, scores: Scores) -> bool:
        """Tell the state before the frame that completed the digest, wherever a batch was cut."""
        closing = self._closing_row(digest, slots, ts_ms, scores)
        earlier = np.flatnonzero(slots[:closing] == digest.slot)
        if len(earlier):
            return bool(scores.anomalous[earlier[-1]])
        return bool(self._anomalous[digest.slot])

    def _closing_row(self, digest: Digest, slots: Ints, ts_ms: Ints, scores: Scores) -> int:
        """Give the row of the frame that completed the digest."""
        mine = np.flatnonzero(slots == digest.slot)
        return int(mine[(scores.known[mine] & (ts_ms[mine] >= digest.until_ms)).argmax()])

    def _judge(self, digest: Digest, anomalous: bool, out: Outputs) -> Anomaly | None:
        seat = self._seats[digest.slot]
        verdict = seat.opinion.observe(digest.deviation)
        out.health.append(
            Health(
                device=seat.device,
                ts_ms=digest.until_ms,
                score=digest.score,
                anomalous=anomalous,
                top_channel=self._most_deviant(digest.deviation),
                second_opinion=verdict.unusual,
            )
        )
        drift = seat.drift.update(digest.score, digest.until_ms)
        if drift is None:
            return None
        return Anomaly(
            device=seat.device,
            kind="drift",
            ts_ms=drift.at_ms,
            score=drift.now,
            top_channel=self._most_deviant(digest.deviation),
            evidence={"reason": drift.reason.value, "before": drift.before, "now": drift.now},
        )

    def _most_deviant(self, deviation: Sequence[float]) -> str | None:
        known = np.nan_to_num(np.abs(deviation))
        return self.names[int(known.argmax())] if known.any() else None

    def _changes(
        self, slots: Ints, rows: FrameRows, values: NDArray[np.float64], scores: Scores
    ) -> list[tuple[int, int, Anomaly]]:
        """Give where states begin and end, each with its row."""
        order = np.argsort(slots, kind="stable")
        sorted_slots, now = slots[order], scores.anomalous[order]
        first = np.append(True, sorted_slots[1:] != sorted_slots[:-1])
        before = np.where(first, self._anomalous[sorted_slots], np.append(False, now[:-1]))
        changed = order[(before & ~now) | scores.alarm[order]].tolist()
        last = np.append(first[1:], True)
        self._anomalous[sorted_slots[last]] = now[last]
        return [(i, 1, self._change(int(rows.device[i]), i, rows, values, scores)) for i in changed]

    def _change(
        self,
        device: int,
        i: int,
        rows: FrameRows,
        values: NDArray[np.float64],
        scores: Scores,
    ) -> Anomaly:
        top = int(scores.top_channel[i])
        return Anomaly(
            device=device,
            kind="alarm" if scores.alarm[i] else "cleared",
            ts_ms=int(rows.ts_ms[i]),
            score=float(scores.score[i]),
            top_channel=self.names[top] if top >= 0 else None,
            evidence={"channels": self._ranked(i, values, scores)},
        )

    def _ranked(
        self, i: int, values: NDArray[np.float64], scores: Scores
    ) -> list[dict[str, float | str]]:
        order = np.argsort(-scores.contributions[i], kind="stable")[:TOP]
        return [
            {
                "channel": self.names[c],
                "now": float(values[i, c]),
                "baseline": float(scores.baseline[i, c]),
                "contribution": float(scores.contributions[i, c]),
            }
            for c in order.tolist()
            if scores.contributions[i, c] > 0 and np.isfinite(values[i, c])
        ]
