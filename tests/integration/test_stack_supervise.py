"""Real processes under the supervisor: restarted, given up loudly, stopped in order."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stack.command import Command
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.restarts import Phase, Reason, Terms
from stack.service import Event, Kind, Service
from stack.supervise import ServiceFailed, StopAsked, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
HURRIED = Terms(first_delay=0.01)


class Seen(list[Event]):
    """What the supervisor told, in order."""

    def kinds(self, service: str) -> list[Kind]:
        return [event.kind for event in self if event.service == service]

    def has(self, service: str, kind: Kind, times: int = 1) -> Callable[[], bool]:
        return lambda: self.kinds(service).count(kind) >= times


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def supervisor(tmp_path: Path, seen: Seen) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, on_event=seen.append) as supervisor:
        yield supervisor


def shell(
    name: str, script: str, terms: Terms = HURRIED, ready: Callable[[], bool] = lambda: True
) -> Service:
    command = Command(argv=("sh", "-c", script), cwd=Path("/"))
    return Service(name=name, command=lambda: command, ready=ready, terms=terms)


def test_a_killed_service_comes_back_and_the_others_never_notice(
    supervisor: Supervisor, seen: Seen
) -> None:
    supervisor.start([shell("ingest", "exec sleep 60"), shell("scoring", "exec sleep 60")])
    before = supervisor.pids()
    os.kill(before["ingest"], signal.SIGKILL)
    supervisor.run(seen.has("ingest", Kind.READY, times=2), every=0.05)

    assert seen.kinds("ingest") == [
        *(Kind.STARTED, Kind.READY, Kind.DIED),
        *(Kind.RESTARTED, Kind.READY),
    ]
    (died,) = (event for event in seen if event.kind is Kind.DIED)
    assert (died.pid, died.status, died.reason) == (before["ingest"], -9, Reason.DIED)
    assert died.delay is not None
    assert supervisor.pids()["ingest"] != before["ingest"]
    assert supervisor.pids()["scoring"] == before["scoring"]


def test_a_vital_service_that_keeps_dying_brings_all_down_with_its_last_words(
    tmp_path: Path, seen: Seen
) -> None:
    with Supervisor(tmp_path, on_event=seen.append) as supervisor:
        supervisor.start([shell("database", "exec sleep 60")])
        with pytest.raises(ServiceFailed) as failure:
            supervisor.start([shell("ingest", "echo no such schema; exit 3", ready=lambda: False)])

    assert "ingest did not come up, it ended too often in a row" in str(failure.value)
    assert "status 3" in str(failure.value)
    assert "its last words were: no such schema (see" in str(failure.value)
    assert seen.kinds("ingest").count(Kind.RESTARTED) == 4
    assert seen[-1].service == "database"
    assert seen[-1].kind is Kind.STOPPED


def test_one_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    terms = Terms(patience=0.2)
    with (
        pytest.raises(ServiceFailed, match="it was not ready in time"),
        Supervisor(tmp_path) as supervisor,
    ):
        supervisor.start([shell("api", "exec sleep 60", terms, ready=lambda: False)])


def test_an_optional_service_that_never_comes_up_holds_nobody_back(
    supervisor: Supervisor, seen: Seen
) -> None:
    optional = Terms(vital=False, first_delay=0.01)
    supervisor.start([shell("simulator", "exit 1", optional), shell("api", "exec sleep 60")])
    supervisor.run(seen.has("simulator", Kind.DIED, times=3), every=0.05)

    assert supervisor.phase("api") is Phase.READY


def test_work_with_an_end_is_done_once(supervisor: Supervisor, seen: Seen) -> None:
    supervisor.start([shell("train", "exit 0", Terms(once=True))])
    supervisor.run(seen.has("train", Kind.FINISHED), every=0.05)

    assert supervisor.phase("train") is Phase.DONE
    assert seen.kinds("train")[-1] is Kind.FINISHED


def test_services_stop_in_reverse_order_and_by_the_signal_they_understand(
    tmp_path: Path, seen: Seen
) -> None:
    polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    log = tmp_path / "ingest.log"
    with Supervisor(tmp_path, on_event=seen.append) as supervisor:
        supervisor.start([shell("database", "exec sleep 60")])
        supervisor.start([shell("ingest", polite, ready=lambda: b"up" in log.read_bytes())])

    stopped = [(event.service, event.status) for event in seen if event.kind is Kind.STOPPED]
    assert stopped == [("ingest", 0), ("database", -15)]
    assert log.read_bytes() == b"up\nbye\n"


def test_what_a_service_left_behind_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(
            [shell("train", "sleep 60 & echo $!; wait", ready=lambda: bool(log.stat().st_size))]
        )
        left = int(log.read_text())
    handle = None
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(left)

    assert handle is None or select.select([handle], [], [], 10)[0]


def test_one_that_will_not_stop_is_killed_once_its_time_is_over(tmp_path: Path, seen: Seen) -> None:
    log = tmp_path / "deaf.log"
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    with Supervisor(tmp_path, on_event=seen.append, stop_patience=0.1) as supervisor:
        supervisor.start([shell("deaf", deaf, ready=lambda: b"up" in log.read_bytes())])

    assert seen[-1].status == -9


def test_a_signal_ends_the_run_and_the_wait_for_a_start(tmp_path: Path, seen: Seen) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(tmp_path, on_event=seen.append) as supervisor:
        supervisor.start([shell("api", "exec sleep 60")])
        os.kill(os.getpid(), signal.SIGTERM)
        supervisor.run()
        with pytest.raises(StopAsked):
            supervisor.start([shell("late", "exec sleep 60", ready=lambda: False)])

    assert [event.service for event in seen if event.kind is Kind.STOPPED] == ["late", "api"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_memory_is_reported_for_each_service(supervisor: Supervisor) -> None:
    supervisor.start([shell("api", "exec sleep 60")])

    assert supervisor.rss_mb().keys() == {"api"}
    assert 0 < supervisor.rss_mb()["api"] < 100


def test_the_embedded_servers_survive_kill_9_under_the_supervisor(
    tmp_path: Path, seen: Seen
) -> None:
    with open_data_dir(tmp_path / "var") as home:
        postgres, broker = EmbeddedPostgres(home, durable=False), EmbeddedBroker(home)
        with Supervisor(home.folder("log"), on_event=seen.append) as supervisor:
            supervisor.start([Service.of(postgres), Service.of(broker)])
            for pid in supervisor.pids().values():
                os.kill(pid, signal.SIGKILL)
            supervisor.run(
                lambda: all(seen.has(name, Kind.READY, 2)() for name in ("postgres", "broker")),
                every=0.05,
            )
            assert postgres.ready()
            assert broker.ready()
        postgres.close()

    assert [e.status for e in seen if e.kind is Kind.STOPPED] == [0, 0]


def test_kill_9_of_the_supervisor_leaves_nobody_behind(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        (sys.executable, "-c", PARENT, tmp_path), cwd=PROJECT, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    children = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()

    for child in children:
        # Readable once the process has ended; the number bounds the wait, it is not slept.
        assert select.select([child], [], [], 30)[0] == [child]
        os.close(child)


PARENT = """
import sys
from contextlib import suppress
from pathlib import Path
from stack.command import Command
from stack.service import Service
from stack.supervise import Supervisor
command = Command(argv=("sleep", "60"))
with Supervisor(Path(sys.argv[1])) as supervisor:
    supervisor.start([Service(name=n, command=lambda: command) for n in ("ingest", "scoring")])
    print(*supervisor.pids().values(), flush=True)
    supervisor.run()
"""
