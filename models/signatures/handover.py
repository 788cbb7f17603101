"""Who speaks for a component: the library before labels exist, the learnt model once they do.

Weight moves on log-odds with the number n of labelled failures of that component::

    share of the learnt model = min(1, n / (n + HALF) * (FULL + HALF) / FULL)

Nothing at n = 0 (or while the model abstains), half of it at about HALF, all of it from FULL on.
Log-odds and thresholds are weighed alike, so that an order opens where the weighed margins say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

HALF: Final = 8.0
"""Labelled failures at which the learnt model weighs about as much as the library."""
FULL: Final = 30.0
"""Labelled failures from which on the library is no longer heard."""
_EDGE: Final = 1e-6


class Speaker(Enum):
    """Whose word a prediction is."""

    LIBRARY = "library"
    BOTH = "both"
    LEARNT = "learnt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A probability and the threshold that it is held against."""

    probability: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Which word counts, and why: the learnt model's share and the labels that it rests on."""

    speaker: Speaker
    word: Word
    share: float
    labels: int


def learnt_share(labels: int) -> float:
    """Give the learnt model's weight after so many labelled failures of a component.

    >>> [round(learnt_share(n), 2) for n in (0, 3, 8, 15, 30, 300)]
    [0.0, 0.35, 0.63, 0.83, 1.0, 1.0]
    """
    return min(1.0, labels / (labels + HALF) * (FULL + HALF) / FULL)


def hand_over(*, library: Word | None, learnt: Word | None, labels: int) -> HandOver | None:
    """Decide whose word counts; None where nobody has anything to say.

    `learnt` is None while that model abstains or does not exist, `library` while it knows nothing.
    """
    share = learnt_share(labels) if learnt is not None else 0.0
    if learnt is not None and (library is None or share == 1.0):
        return HandOver(speaker=Speaker.LEARNT, word=learnt, share=1.0, labels=labels)
    if library is None:
        return None
    if learnt is None or share == 0.0:
        return HandOver(speaker=Speaker.LIBRARY, word=library, share=0.0, labels=labels)
    word = Word(
        probability=_weighed(share, learnt.probability, library.probability),
        threshold=_weighed(share, learnt.threshold, library.threshold),
    )
    return HandOver(speaker=Speaker.BOTH, word=word, share=share, labels=labels)


def _weighed(share: float, one: float, other: float) -> float:
    odds = share * _logit(one) + (1.0 - share) * _logit(other)
    return 1.0 / (1.0 + math.exp(-odds))


def _logit(p: float) -> float:
    inner = min(max(p, _EDGE), 1.0 - _EDGE)
    return math.log(inner / (1.0 - inner))
