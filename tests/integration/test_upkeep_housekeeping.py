"""Old sections go by the timelines' clocks, on both layouts; the process survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from prometheus_client import REGISTRY

from foremend.db import connect, storage
from foremend.db.storage import Layout
from ingest.upkeep import metrics
from ingest.upkeep.housekeeping import tidy
from ingest.upkeep.retention import Action, Rules
from ingest.upkeep.service import Upkeep
from ingest.upkeep.store import RollupStore
from stack.keeping.verify import Scope, verify
from tests.kept_log import KeptLog, Reading, at
from tests.layouts import Urls, migrated, serving_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.embedded.postgres import EmbeddedPostgres

WEEK = 7 * 86_400
WALL = datetime(2026, 11, 22, tzinfo=UTC)
NO_RULES = Rules.of_days(frames=0, minutes=0, hours=0, compress=0)


@pytest.fixture(scope="module", params=[Layout.NATIVE, Layout.TIMESCALEDB], ids=lambda x: x.value)
def server(request, tmp_path_factory) -> Iterator[tuple[Layout, EmbeddedPostgres]]:
    with serving_layout(request.param, tmp_path_factory.mktemp("kept") / "var") as server:
        yield request.param, server


@pytest.fixture(scope="module")
def make_urls(server) -> Callable[[str], Urls]:
    return lambda name: migrated(server[1], server[0], name)


@pytest.fixture
def urls(make_urls, request) -> Urls:
    return make_urls(f"t_{abs(hash(request.node.name)) % 10**9}")


@pytest.fixture
def log(urls: Urls) -> Iterator[KeptLog]:
    with connect(urls.app, name="test") as link:
        yield KeptLog(connection=link)


def fill(log: KeptLog, device: int, weeks: int, first: int = 0) -> None:
    """One reading a week, each on a Monday."""
    told = [(at(WEEK * i + 60), i) for i in range(first, weeks)]
    log.commit([Reading(device=device, at=t, seq=i, values=(i, None)) for t, i in told])


def settle(log: KeptLog) -> None:
    store = RollupStore(log.connection)
    store.roll()
    store.roll_hours()
    log.scored()


def rules(**days: float) -> Rules:
    return Rules.of_days(**({"frames": 0, "minutes": 0, "hours": 0, "compress": 0} | days))


def weeks_left(log: KeptLog) -> list[int]:
    rows = log.run("SELECT DISTINCT ts FROM frame ORDER BY ts")
    return [int((ts - at(0)).total_seconds()) // WEEK for (ts,) in rows]


def test_without_rules_nothing_goes(log: KeptLog) -> None:
    fill(log, log.device("printer-01", timeline="live"), 5)
    settle(log)

    assert tidy(log.connection, NO_RULES, WALL) == []
    assert weeks_left(log) == [0, 1, 2, 3, 4]


def test_what_every_timeline_has_passed_goes_and_rollups_stay(log: KeptLog, urls: Urls) -> None:
    fill(log, log.device("printer-01"), 6)
    settle(log)
    before = log.run("SELECT * FROM rollup_minute ORDER BY 1, 2")
    done = tidy(log.connection, rules(frames=20), WALL)

    assert [d.done for d in done] == [True] * len(done)
    assert weeks_left(log) == [2, 3, 4, 5]  # the clock stands 20 days after the second week's end
    assert log.run("SELECT * FROM rollup_minute ORDER BY 1, 2") == before
    assert verify(urls.owner, Scope(), lambda line: None).passed


def test_a_slower_timeline_holds_what_it_shares(log: KeptLog) -> None:
    fill(log, log.device("printer-01"), 6)
    fill(log, log.device("printer-01", timeline="sim:slow"), 2)
    settle(log)
    tidy(log.connection, rules(frames=20), WALL)
    assert weeks_left(log) == [0, 1, 2, 3, 4, 5]

    # It was heard last a month ago: since then it ages by the wall.
    log.run(
        "UPDATE device SET last_seen_at = %s WHERE timeline = 'sim:slow'", WALL - timedelta(days=30)
    )
    tidy(log.connection, rules(frames=20), WALL)
    assert weeks_left(log) == [2, 3, 4, 5]


def test_what_scoring_may_replay_stays_however_old(log: KeptLog) -> None:
    device = log.device("printer-01", timeline="live")
    fill(log, device, 3)
    settle(log)
    fill(log, device, 5, first=3)
    RollupStore(log.connection).roll()
    done = tidy(log.connection, rules(frames=1), WALL)

    assert [d.done for d in done if d.section.until > at(3 * WEEK)] == [False, False]
    assert weeks_left(log) == [3, 4]


def test_minutes_and_hours_go_by_rules_of_their_own(log: KeptLog) -> None:
    device = log.device("printer-01", timeline="live")
    fill(log, device, 10)
    settle(log)
    tidy(log.connection, rules(frames=1, minutes=265, hours=300), WALL)

    months = log.run("SELECT DISTINCT date_trunc('month', bucket, 'UTC') FROM rollup_minute")
    assert weeks_left(log) == []
    assert months == [(datetime(2026, 3, 1, tzinfo=UTC),)]
    assert len(log.run("SELECT 1 FROM rollup_hour")) == 10
    assert storage.floors(log.connection)[storage.MINUTES] == datetime(2026, 3, 1, tzinfo=UTC)


def test_minutes_whose_hours_are_due_stay(log: KeptLog) -> None:
    fill(log, log.device("printer-01", timeline="live"), 2)
    store = RollupStore(log.connection)
    store.roll()
    log.scored()
    told = tidy(log.connection, rules(frames=1, minutes=2), WALL)
    assert not any(d.done for d in told if d.section.name.startswith("rollup_minute"))
    store.roll_hours()
    tidy(log.connection, rules(frames=1, minutes=2), WALL)

    assert log.run("SELECT 1 FROM rollup_minute") == []
    assert len(log.run("SELECT 1 FROM rollup_hour")) == 2


def test_old_sections_are_compressed_where_that_is_possible(log: KeptLog, urls: Urls) -> None:
    fill(log, log.device("printer-01"), 6)
    settle(log)
    can = storage.in_use(log.connection).compresses
    done = tidy(log.connection, rules(compress=20), WALL)

    assert {d.decision.action for d in done} == ({Action.COMPRESS} if can else set())
    assert sum(s.compressed for s in storage.sections(log.connection)) == (2 if can else 0)
    fill(log, log.device("printer-02"), 6)  # late rows of another device
    settle(log)
    assert verify(urls.owner, Scope(), lambda line: None).passed
    assert weeks_left(log) == [0, 1, 2, 3, 4, 5]


def test_a_section_in_use_is_left_for_the_next_time(log: KeptLog, urls: Urls) -> None:
    fill(log, log.device("printer-01", timeline="live"), 1)
    settle(log)
    with psycopg.connect(urls.app) as reader:
        reader.execute("SELECT count(*) FROM frame")
        (busy,) = tidy(log.connection, rules(frames=1), WALL)
    (free,) = tidy(log.connection, rules(frames=1), WALL)

    assert (busy.done, free.done) == (False, True)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"foremend_upkeep_{name}", labels) or 0.0


def test_what_is_rolled_up_and_what_goes_is_counted(log: KeptLog) -> None:
    def tally() -> dict[str, float]:
        return {
            "entries": counted("entries_total"),
            "minutes": counted("rows_total", span="minute"),
            "hours": counted("rows_total", span="hour"),
            "dropped": counted("sections_total", action="drop", outcome="done"),
        }

    upkeep = Upkeep(rules=rules(frames=1), wall=lambda: WALL)
    fill(log, log.device("printer-01", timeline="live"), 1)
    log.scored()
    before = tally()

    upkeep.work(log.connection)

    gone = {name: value - before[name] for name, value in tally().items()}
    assert gone == {"entries": 1, "minutes": 1, "hours": 1, "dropped": 1}


def test_how_far_the_rollups_lag_is_told(log: KeptLog) -> None:
    fill(log, log.device("printer-01"), 3)
    metrics.BEHIND.set(RollupStore(log.connection).behind())
    before = counted("entries_behind")

    Upkeep(rules=NO_RULES, wall=lambda: WALL).work(log.connection)

    assert (before, counted("entries_behind")) == (1, 0)


def test_minutes_are_rolled_at_each_look_and_hours_seldom(log: KeptLog) -> None:
    now = 0.0
    upkeep = Upkeep(rules=NO_RULES, clock=lambda: now, wall=lambda: WALL)
    device = log.device("printer-01")

    def rolled(seq: int) -> tuple[int, int]:
        log.commit([Reading(device=device, at=at(3600 * seq), seq=seq, values=(1.0, 2.0))])
        assert not upkeep.work(log.connection)
        tables = ("rollup_minute", "rollup_hour")
        return tuple(log.run(f"SELECT count(*) FROM {t}")[0][0] for t in tables)

    assert rolled(0) == (1, 1)
    now = 10.0
    assert rolled(1) == (2, 1)
    now = 40.0
    assert rolled(2) == (3, 3)


def test_a_process_that_is_killed_on_the_way_leaves_it_right(log: KeptLog, urls: Urls) -> None:
    """Killed while it works, again and again; whoever goes on comes to the same."""
    device = log.device("printer-01")
    for batch in range(30):
        seqs = range(40 * batch, 40 * batch + 40)
        log.commit([Reading(device=device, at=at(7 * i), seq=i, values=(i, batch)) for i in seqs])
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "FOREMEND_DATABASE_URL": urls.app, "PYTHONPATH": root}
    script = (
        "import threading, ingest.upkeep.store as store\n"
        "from foremend.settings import load\n"
        "from ingest.upkeep.service import run\n"
        "store.BATCHES = 1\n"
        "print('up', flush=True)\n"
        "run(load(), threading.Event())\n"
    )
    for pause in (0.1, 0.2, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause)  # where it is hit does not matter: any place must be right
            process.send_signal(signal.SIGKILL)
        assert verify(urls.owner, Scope(), lambda line: None).passed
    settle(log)
    found = verify(urls.owner, Scope(), lambda line: None)

    assert found.passed
    assert (found.minutes.pending, found.hours.pending) == (0, 0)
    assert found.receipts.examined == 1200
