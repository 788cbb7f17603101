"""Who speaks: the library before labels, the learnt model once they come, by a stated rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.signatures.handover import FULL, HALF, Speaker, Word, hand_over, learnt_share

shares = st.floats(0.001, 0.999)
words = st.builds(Word, probability=shares, threshold=shares)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


@given(words)
def test_before_any_label_the_library_speaks_alone(library: Word) -> None:
    decided = hand_over(library=library, learnt=None, labels=0)
    assert decided is not None
    assert (decided.speaker, decided.word, decided.share) == (Speaker.LIBRARY, library, 0.0)


@given(words, words, st.integers(int(FULL), 10_000))
def test_with_labels_enough_the_learnt_model_speaks_alone(
    library: Word, learnt: Word, labels: int
) -> None:
    decided = hand_over(library=library, learnt=learnt, labels=labels)
    assert decided is not None
    assert (decided.speaker, decided.word) == (Speaker.LEARNT, learnt)


@given(words, words, st.integers(1, int(FULL) - 1))
def test_in_between_log_odds_are_weighed(library: Word, learnt: Word, labels: int) -> None:
    decided = hand_over(library=library, learnt=learnt, labels=labels)
    assert decided is not None
    assert decided.speaker is Speaker.BOTH
    share = learnt_share(labels)
    expected = share * logit(learnt.probability) + (1 - share) * logit(library.probability)
    assert logit(decided.word.probability) == pytest.approx(expected, abs=1e-6)


@given(words, words, st.integers(1, int(FULL) - 1))
def test_an_order_opens_where_the_weighed_margins_say_so(
    library: Word, learnt: Word, labels: int
) -> None:
    decided = hand_over(library=library, learnt=learnt, labels=labels)
    assert decided is not None
    share = learnt_share(labels)
    margins = [logit(w.probability) - logit(w.threshold) for w in (learnt, library)]
    margin = share * margins[0] + (1 - share) * margins[1]
    told = logit(decided.word.probability) - logit(decided.word.threshold)
    assert told == pytest.approx(margin, abs=1e-6)


@given(words, words, st.integers(0, 200))
def test_what_both_would_order_is_ordered(library: Word, learnt: Word, labels: int) -> None:
    decided = hand_over(library=library, learnt=learnt, labels=labels)
    assert decided is not None
    opens = [w.probability >= w.threshold for w in (library, learnt)]
    if all(opens) or not any(opens):
        slack = 1e-9 if opens[0] else -1e-9
        assert (decided.word.probability + slack >= decided.word.threshold) is opens[0]


@given(st.integers(0, 500))
def test_no_label_takes_weight_back(labels: int) -> None:
    assert 0.0 <= learnt_share(labels) <= learnt_share(labels + 1) <= 1.0


def test_the_share_is_the_stated_one() -> None:
    assert learnt_share(0) == 0.0
    assert learnt_share(int(FULL)) == 1.0
    assert learnt_share(int(HALF)) == pytest.approx(0.5 * (FULL + HALF) / FULL)


def test_where_nobody_knows_anything_nobody_speaks() -> None:
    assert hand_over(library=None, learnt=None, labels=5) is None
