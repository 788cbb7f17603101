"""A recording is said in the order in which it could have been known."""

from __future__ import annotations

import numpy as np

from edge_agent.source import Frame, Happening
from foremend.values import PART_REPLACED
from models.features import FeatureSpec
from models.history import NO_MARKS, Findings, Frames, History, Marks
from stack.recording import FAILED, _items

NOON = 1_420_113_600_000
SPEC = FeatureSpec(family="toy", channels=("volt",), components=("comp1",), codes=("error1",))


def recorded() -> History:
    """Give one machine whose part fails, is replaced and says a code at one instant."""
    at_noon = Marks.of([0], [NOON], [0])
    return History(
        spec=SPEC,
        devices=("7",),
        frames=Frames.of_grid([NOON - 1, NOON], [[0], [0]], np.array([[[np.nan]], [[2.0]]])),
        events=at_noon,
        replacements=at_noon,
        findings=Findings.failures(at_noon),
        installs=NO_MARKS,
        until_ms=NOON,
    )


def said() -> list[Frame | Happening]:
    return [what for _, _, what in sorted(_items(recorded()), key=lambda item: item[0])]


def test_a_replacement_is_the_last_that_is_said_of_its_instant() -> None:
    kinds = [one.code if isinstance(one, Happening) else "frame" for one in said()]
    assert kinds == ["frame", "frame", "error1", FAILED, PART_REPLACED]


def test_a_failure_is_said_for_the_record_and_teaches_nobody() -> None:
    (failed,) = (one for one in said() if isinstance(one, Happening) and one.code == FAILED)
    assert failed.severity == "info"


def test_a_missing_value_is_unknown_on_the_wire() -> None:
    values = [one.values for one in said() if isinstance(one, Frame)]
    assert values == [(None,), (2.0,)]
