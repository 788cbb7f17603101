"""Orphans are given time first, then ever plainer signals; strangers are never touched."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.embedded.residents import GIVE_UP_AFTER, Reason, decide, residents

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("count", "waited", "wait", "sign", "reason"),
    [
        (0, 0.0, False, None, Reason.EMPTY),
        (0, 99.0, False, None, Reason.EMPTY),
        (3, 0.5, True, None, Reason.LEAVING),
        (3, 1.0, True, signal.SIGINT, Reason.OUTLIVED),
        (3, 10.0, True, signal.SIGQUIT, Reason.STUBBORN),
        (3, 15.0, True, signal.SIGKILL, Reason.HUNG),
        (3, 25.0, False, None, Reason.UNKILLABLE),
    ],
)
def test_what_is_done_with_orphans(
    count: int, waited: float, wait: bool, sign: signal.Signals | None, reason: Reason
) -> None:
    decision = decide(count, waited)

    assert (decision.wait, decision.sign, decision.reason) == (wait, sign, reason)


@given(st.integers(0, 50), st.floats(min_value=GIVE_UP_AFTER, max_value=1e9))
def test_waiting_always_ends(count: int, waited: float) -> None:
    assert not decide(count, waited).wait


def test_nobody_lives_in_a_fresh_folder(tmp_path: Path) -> None:
    assert residents(tmp_path, "postgres") == ()
