"""Two minutes of the soak before a real OctoPrint, which `foremend drill` runs for an hour.

It mostly waits, so that it costs little beside other tests that run at the same time.
"""

from __future__ import annotations

import pytest

from stack.drill.ground import NotHere
from stack.soak.run import Course, soak

pytestmark = pytest.mark.timeout(300)


def test_no_acknowledged_frame_is_lost_and_no_value_invented_while_cables_are_pulled() -> None:
    try:
        report = soak(Course(minutes=2.0, seed=4, rest_s=(2.0, 5.0), hold_s=(1.0, 6.0)))
    except NotHere as reason:
        pytest.skip(str(reason))

    assert report.complaints == ()
    assert {"cut", "swallowed", "broker", "printer"} <= report.pulled.keys()
    assert report.verdict.acked >= 60
    assert report.verdict.reconnects >= report.pulled["cut"]
