"""Everybody who has a say in a device's future: the model in force, and the signature library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from models.diagnosis import Reason, ReasonKind
from models.features.state import SnapshotMismatch
from models.scoring.coldstart import ColdState  # noqa: TC001 - msgspec reads it
from models.scoring.entries import Outputs
from models.scoring.prognosis import Opinion, Prognosis, PrognosisState
from models.signatures.handover import HandOver, Speaker, Word, hand_over, learnt_share
from models.signatures.library import HORIZONS_H

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.coldstart import ColdStart, Words
    from models.scoring.entries import EventRow, FrameRows, Hazard

    Floats = NDArray[np.float64]


class CounselState(msgspec.Struct, frozen=True, kw_only=True):
    """One device's share, as a snapshot keeps it."""

    learnt: PrognosisState | None
    cold: ColdState | None


@dataclass(slots=True, eq=False)
class Counsel:
    """A learnt model, a library, or both, as one voice.

    The library is heard of components that the model never saw, alone where the model abstains, and
    together with it while labels are few (`models.signatures.handover`).
    """

    learnt: Prognosis | None
    cold: ColdStart | None

    @property
    def version(self) -> str | None:
        """The learnt model's version; None where there is none."""
        return None if self.learnt is None else self.learnt.version

    def seat(self, device: int, told: dict[str, Any]) -> None:
        """Give the device its place, and take what its birth tells."""
        if self.learnt is not None:
            self.learnt.seat(device)
        if self.cold is not None:
            self.cold.seat(device)
        self.installed(device, told)

    def installed(self, device: int, told: dict[str, Any]) -> None:
        """Take what a birth tells."""
        if self.learnt is not None:
            self.learnt.installed(device, told["components"])
        if self.cold is not None:
            self.cold.installed(device, told)

    def frames(
        self, rows: FrameRows, channels: tuple[str, ...], score: Floats, out: Outputs
    ) -> None:
        """Take frames whose columns are `channels`, with the fleet scorer's word on each."""
        words = None if self.cold is None else self.cold.frames(rows, channels)
        fresh = Outputs()
        if self.learnt is not None:
            self.learnt.second = self._second(words)
            self.learnt.frames(rows, channels, score, fresh)
        self._tell(words, fresh, out)

    def event(self, event: EventRow, out: Outputs) -> None:
        """Take one event."""
        words = None if self.cold is None else self.cold.event(event)
        fresh = Outputs()
        if self.learnt is not None:
            self.learnt.second = self._second(words)
            self.learnt.event(event, fresh)
        self._tell(words, fresh, out)

    def vacate(self, device: int) -> None:
        """Forget a device that follows others from here on."""
        if self.learnt is not None:
            self.learnt.vacate(device)
        if self.cold is not None:
            self.cold.vacate(device)

    def snapshot(self, device: int) -> CounselState:
        """Give everything that this device's later predictions depend on."""
        return CounselState(
            learnt=None if self.learnt is None else self.learnt.snapshot(device),
            cold=None if self.cold is None else self.cold.snapshot(device),
        )

    def restore(self, device: int, state: CounselState) -> None:
        """Put a device's share back.

        Raises:
            SnapshotMismatch: it was taken under another layout of features.
        """
        if (state.cold is None) != (self.cold is None):
            raise SnapshotMismatch
        if self.learnt is not None and state.learnt is not None:
            self.learnt.restore(device, state.learnt)
        if self.cold is not None and state.cold is not None:
            self.cold.restore(device, state.cold)

    def carry_over(self, device: int, before: CounselState) -> None:
        """Take along what can be read of a device that followed others until now."""
        for one, state in ((self.learnt, before.learnt), (self.cold, before.cold)):
            if one is None or state is None:
                continue
            try:
                one.restore(device, state)  # type: ignore[arg-type] # each its own
            except SnapshotMismatch:
                continue  # Another layout: this device's features are learnt anew.

    def _second(self, words: Words | None) -> SecondVoice | None:
        if self.cold is None or words is None:
            return None
        return SecondVoice(self.cold, words)

    def _tell(self, words: Words | None, fresh: Outputs, out: Outputs) -> None:
        """Tell everything in order of time, so that how a log was cut does not show."""
        if self.cold is not None and words is not None:
            self.cold.told(words, self._alone(), fresh)
        out.hazards.extend(sorted(fresh.hazards, key=lambda one: one.ts_ms))
        out.predictions.extend(sorted(fresh.predictions, key=lambda one: one.hazard.ts_ms))

    def _alone(self) -> frozenset[str]:
        """Give the components of which only the library can speak."""
        if self.cold is None:
            return frozenset()
        known = self.learnt.model.spec.components if self.learnt is not None else ()
        return frozenset(self.cold.model.spec.components) - frozenset(known)


def needs_library(prognosis: Prognosis, components: tuple[str, ...]) -> bool:
    """Tell whether a library that knows these components has anything to add to a model."""
    model = prognosis.model
    labels = dict(zip(model.spec.components, model.signatures.failures.tolist(), strict=True))
    return any(learnt_share(labels.get(name, 0)) < 1.0 for name in components)


@dataclass(frozen=True, slots=True)
class SecondVoice:
    """What the library says beside a learnt model, on rows of the same instants."""

    cold: ColdStart
    words: Words

    def joined(self, opinion: Opinion, labels: int) -> Opinion:
        """Weigh a learnt model's opinion together with the library's of the same component.

        Of several modes of one component the library's likeliest names what it is.
        """
        said = self._said(opinion.hazard)
        if said is None:
            return opinion
        hazard, (row, likeliest, library) = opinion.hazard, said
        learnt = (
            None
            if hazard.abstained
            else Word(probability=hazard.probability, threshold=opinion.threshold)
        )
        decided = hand_over(library=library, learnt=learnt, labels=labels)
        if self.words.down[row] and learnt is not None:
            return opinion
        if decided is None or decided.speaker is Speaker.LEARNT:
            return opinion
        return Opinion(
            hazard=self._hazard(hazard, decided, row, likeliest),
            mode=self.cold.model.modes[likeliest][1],
            threshold=decided.word.threshold,
            reasons=lambda: (
                *merged(self.cold.reasons(self.words, row, likeliest), opinion, decided),
                told_hand_over(self.cold.model.version, decided, library, learnt),
            ),
        )

    def _said(self, hazard: Hazard) -> tuple[int, int, Word] | None:
        """Find the row of this instant, the likeliest mode, and the word on the component."""
        modes = [k for k, (name, _) in enumerate(self.cold.model.modes) if name == hazard.component]
        row = self._row(hazard.device, hazard.ts_ms)
        if row is None or not modes:
            return None
        edges = (0.0, *HORIZONS_H)
        at = [
            np.interp(hazard.horizon_h, edges, (0.0, *self.words.cumulative[row, k])) for k in modes
        ]
        if not np.isfinite(at).any():
            return None
        any_mode = 1.0 - float(np.prod(1.0 - np.nan_to_num(at)))
        word = Word(probability=any_mode, threshold=self.cold.model.threshold)
        return row, modes[int(np.nanargmax(at))], word

    def _row(self, device: int, ts_ms: int) -> int | None:
        told = zip(self.words.device, self.words.ts_ms, strict=True)
        return next((i for i, one in enumerate(told) if one == (device, ts_ms)), None)

    def _hazard(self, hazard: Hazard, decided: HandOver, row: int, k: int) -> Hazard:
        """Give the hazard with the probability decided on, and the band of whoever weighs more."""
        told = replace(hazard, probability=decided.word.probability, abstained=None)
        if decided.share >= 0.5:  # noqa: PLR2004 - the learnt model weighs more
            return told
        library = self.cold.hazard(self.words, row, k)
        version = library.version if decided.speaker is Speaker.LIBRARY else hazard.version
        return replace(told, band_h=library.band_h, version=version)


def merged(shown: tuple[Reason, ...], opinion: Opinion, decided: HandOver) -> tuple[Reason, ...]:
    """Rank both sides' reasons together, each by its side's share; none is told twice."""
    if decided.speaker is Speaker.LIBRARY:
        return shown
    learnt = _weighed(opinion.reasons(), decided.share)
    known = {(reason.kind, reason.subject) for reason in learnt}
    library = _weighed(shown, 1.0 - decided.share)
    both = [*learnt, *(r for r in library if (r.kind, r.subject) not in known)]
    return tuple(sorted(both, key=lambda r: (-r.weight, r.kind.value, r.subject)))


def _weighed(reasons: tuple[Reason, ...], share: float) -> list[Reason]:
    most = max((r.weight for r in reasons), default=1.0) or 1.0
    return [replace(r, weight=share * r.weight / most) for r in reasons]


def told_hand_over(name: str, decided: HandOver, library: Word, learnt: Word | None) -> Reason:
    """Say in the evidence who spoke with what weight."""
    told: dict[str, float | str] = {
        "labels": float(decided.labels),
        "share": decided.share,
        "signature": library.probability,
        "library": name,
    }
    if learnt is not None:
        told["learnt"] = learnt.probability
    return Reason(kind=ReasonKind.HAND_OVER, subject=name, weight=0.0, parameters=told)
