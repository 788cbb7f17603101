from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from field_service.labels import outcome
from field_service.values import State, Verified
from field_service.verify import PATIENCE, Action, Reason, Signals, verify
from foremend.values import AsFound
from tests.field_orders import HOUR, ORDER, START

WATCH = 6.0
VERIFYING = replace(
    ORDER,
    state=State.VERIFYING,
    fitted_at=START,
    verify_until=START + WATCH * HOUR,
)
WELL = Signals(running_h=6.5, hazard=0.02, hazard_at=START + 7 * HOUR, threshold=0.4)
LATE = WATCH * PATIENCE


@pytest.mark.parametrize(
    ("signals", "hours", "action", "reason"),
    [
        (WELL, 7, Action.CLOSE, Reason.RECOVERED),
        (WELL, 5.9, Action.WAIT, Reason.WATCH_GOES_ON),
        (replace(WELL, running_h=5.0), 7, Action.WAIT, Reason.NOT_SEEN_RUNNING_LONG_ENOUGH),
        (replace(WELL, in_error=True), 7, Action.WAIT, Reason.IN_ERROR),
        (replace(WELL, anomalous=True), 7, Action.WAIT, Reason.STILL_ANOMALOUS),
        (replace(WELL, hazard=None, hazard_at=None), 7, Action.WAIT, Reason.NO_FRESH_RISK),
        (replace(WELL, hazard_at=START - HOUR), 7, Action.WAIT, Reason.NO_FRESH_RISK),
        (replace(WELL, hazard=0.4), 7, Action.REOPEN, Reason.RISK_STILL_HIGH),
        (
            replace(WELL, hazard=0.9, hazard_at=START + 3 * HOUR),
            3,
            Action.REOPEN,
            Reason.RISK_STILL_HIGH,
        ),
        (
            replace(WELL, hazard=0.9, hazard_at=START + HOUR),
            3,
            Action.WAIT,
            Reason.WATCH_GOES_ON,
        ),
        (
            replace(WELL, failed_again_at=START + HOUR),
            2,
            Action.REOPEN,
            Reason.FAILED_AGAIN,
        ),
        (replace(WELL, failed_again_at=START - HOUR), 7, Action.CLOSE, Reason.RECOVERED),
        (Signals(), LATE - 0.1, Action.WAIT, Reason.NOT_SEEN_RUNNING_LONG_ENOUGH),
        (Signals(), LATE, Action.CLOSE, Reason.NO_TELEMETRY),
        (Signals(in_error=True), LATE, Action.REOPEN, Reason.STILL_IN_ERROR),
        (Signals(running_h=9), LATE, Action.CLOSE, Reason.RAN_WITHOUT_A_WORD),
        (replace(WELL, anomalous=True), LATE, Action.CLOSE, Reason.RAN_WITHOUT_A_WORD),
    ],
)
def test_what_telemetry_says_of_a_repair(
    signals: Signals, hours: float, action: Action, reason: Reason
) -> None:
    decision = verify(VERIFYING, signals, START + hours * HOUR)
    assert (decision.action, decision.reason) == (action, reason)


@pytest.mark.parametrize(
    ("signals", "hours", "verdict"),
    [
        (WELL, 7, Verified.RECOVERED),
        (WELL, 1, None),
        (replace(WELL, hazard=0.9), 7, Verified.NOT_RECOVERED),
        (Signals(), LATE, Verified.NO_TELEMETRY),
        (Signals(running_h=9), LATE, Verified.RECOVERED),
    ],
)
def test_what_is_written_beside_the_finding(
    signals: Signals, hours: float, verdict: Verified | None
) -> None:
    assert verify(VERIFYING, signals, START + hours * HOUR).verdict is verdict


def test_the_model_does_not_overrule_somebody_who_looked_and_found_nothing() -> None:
    looked = replace(VERIFYING, as_found=AsFound.NO_FAULT_FOUND)
    risky = replace(WELL, hazard=0.9)
    decision = verify(looked, risky, START + 7 * HOUR)
    assert (decision.action, decision.reason) == (Action.CLOSE, Reason.RECOVERED)
    failed = replace(risky, failed_again_at=START + HOUR)
    assert verify(looked, failed, START + 7 * HOUR).reason is Reason.FAILED_AGAIN


instants = st.none() | st.floats(-10, 50).map(lambda h: START + h * HOUR)
anything = st.builds(
    Signals,
    running_h=st.floats(0, 100),
    in_error=st.booleans(),
    hazard=st.none() | st.floats(0, 1),
    hazard_at=instants,
    threshold=st.none() | st.floats(0, 1),
    anomalous=st.booleans(),
    failed_again_at=instants,
)


@given(anything, st.floats(LATE, 1000))
def test_no_order_is_watched_for_ever(signals: Signals, hours: float) -> None:
    assert verify(VERIFYING, signals, START + hours * HOUR).action is not Action.WAIT


@given(anything, st.floats(0, 100))
def test_recovery_is_never_said_of_a_device_that_was_not_seen_running(
    signals: Signals, hours: float
) -> None:
    decision = verify(VERIFYING, signals, START + hours * HOUR)
    if decision.verdict is Verified.RECOVERED:
        assert timedelta(hours=signals.running_h) >= WATCH * HOUR
        assert not signals.in_error


@pytest.mark.parametrize(
    ("as_found", "replaced", "verified", "failed", "censored"),
    [
        (AsFound.FAILED, True, Verified.RECOVERED, True, False),
        (AsFound.DEGRADED, True, None, True, False),
        (AsFound.DEGRADED, True, Verified.NO_TELEMETRY, True, False),
        (AsFound.DEGRADED, True, Verified.NOT_RECOVERED, False, True),
        (AsFound.NO_FAULT_FOUND, True, Verified.RECOVERED, False, True),
        (AsFound.NO_FAULT_FOUND, False, Verified.RECOVERED, False, False),
        (AsFound.NO_FAULT_FOUND, False, Verified.NOT_RECOVERED, False, False),
    ],
)
def test_a_finding_becomes_a_label(
    as_found: AsFound, replaced: bool, verified: Verified | None, failed: bool, censored: bool
) -> None:
    assert outcome(as_found, replaced=replaced, verified=verified) == (failed, censored)


@given(st.sampled_from(AsFound), st.booleans(), st.none() | st.sampled_from(Verified))
def test_no_label_is_both_a_failure_and_unknown(
    as_found: AsFound, replaced: bool, verified: Verified | None
) -> None:
    failed, censored = outcome(as_found, replaced=replaced, verified=verified)
    assert not (failed and censored)
