"""A crowd of some hundred devices over the real broker and a real ingest, with every trouble on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from foremend import ready
from stack.load.run import Load, spoken, stored
from stack.load.troubles import Switches

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = 240
ROUNDS = 6
TROUBLES = Switches(
    duplicates=0.2, reorder=0.2, skew_s=90.0, flap_every_s=1.5, flap_for_s=0.7, storm_every_s=2.5
)


@pytest.fixture
def where(broker, migrated_urls, tmp_path) -> Iterator[dict[str, str]]:
    """A broker at which an ingest process of this test's own listens."""
    told = {
        "FOREMEND_BROKER_HOST": broker.host,
        "FOREMEND_BROKER_PORT": str(broker.port),
        "FOREMEND_BROKER_USER": broker.user,
        "FOREMEND_BROKER_PASSWORD": broker.password,
    }
    sign = tmp_path / "ready"
    env = os.environ | told | {"FOREMEND_DATABASE_URL": migrated_urls.app}
    env |= {ready.VARIABLE: str(sign)}
    with (tmp_path / "log").open("wb") as log:
        ingest = subprocess.Popen([sys.executable, "-m", "stack", "ingest"], env=env, stderr=log)
    until = time.monotonic() + 60.0
    while ready.announced(sign) != ingest.pid and time.monotonic() < until:
        assert ingest.poll() is None
        time.sleep(0.05)
    yield told
    ingest.terminate()
    ingest.wait(20)


def test_each_switch_acts_and_nothing_is_lost_or_doubled(where, migrated_urls) -> None:
    load = Load(
        devices=DEVICES,
        seconds=ROUNDS,
        processes=2,
        tenant="crowd",
        switches=TROUBLES,
    )

    told = spoken(load, where)
    kept = stored(migrated_urls.app, load.tenant)

    assert min(told[n] for n in ("duplicates", "reordered", "resent", "flaps", "storms")) > 0
    assert told["sent"] > told["messages"] == told["acknowledged"]
    assert (told["unacknowledged"], told["refused"]) == (0, 0)
    assert kept["stored_frames"] == DEVICES * ROUNDS
    assert kept["stored_frames"] + kept["stored_events"] == told["messages"]
    # Every storm is one event of every device of its process; firmwares say a little by themselves.
    assert kept["stored_events"] >= told["storms"] * DEVICES // load.processes
    assert kept["stored_doubled"] == 0
