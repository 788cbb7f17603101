"""Two minutes of the soak before a real OctoPrint, which `foremend drill` runs for an hour.

It began when the tests did (conftest.py), and has run beside them.
"""

from __future__ import annotations

import json
import time

import pytest

from tests import soak_beside

PATIENCE_S = 280.0
pytestmark = pytest.mark.timeout(300)


def test_no_acknowledged_frame_is_lost_and_no_value_invented_while_cables_are_pulled() -> None:
    file, over = soak_beside.report_file(), time.monotonic() + PATIENCE_S
    while not file.exists() and time.monotonic() < over:
        time.sleep(0.5)
    assert file.exists(), file.with_suffix(".log").read_text()[-2000:]
    found = json.loads(file.read_text())
    for written in (file, file.with_suffix(".log")):
        written.unlink()
    if "skipped" in found:
        pytest.skip(found["skipped"])

    assert found["complaints"] == []
    assert {"cut", "swallowed", "broker", "printer"} <= found["pulled"].keys()
    assert found["acked"] >= 60
    assert found["reconnects"] >= found["pulled"]["cut"]
