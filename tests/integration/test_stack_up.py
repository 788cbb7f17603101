"""`foremend up` as a process: it survives the death of its parts and its own, and stops cleanly.

The fleet runs without a model here (`--histories 0`), which is all that delivery needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foremend.db import connect
from foremend.ready import announced
from stack import cli, counters, readiness
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import free_port
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving
from stack.services import RUN
from stack.system import API, FLEET, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
PATIENCE_S = 120.0
pytestmark = pytest.mark.timeout(400)


@dataclass
class Up:
    """A running `foremend up`, whose words go to files."""

    data_dir: Path
    process: subprocess.Popen[bytes]
    words: Path
    answer: Path

    def said(self) -> str:
        return self.words.read_text()

    def pid(self, service: str) -> int | None:
        return announced(readiness.file_of(self.data_dir / RUN, service))

    def until(self, what: Callable[[], object], *, within_s: float = PATIENCE_S) -> Any:
        """Wait for something to be so; fails loudly where the process has ended instead."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = what()
            if found:
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(f"not within {within_s:.0f} s; it said:\n{self.said()}")

    def kill(self, *services: str) -> None:
        """Kill -9 services, and wait until other processes serve in their places."""
        before = {name: self.until(lambda: self.pid(name)) for name in services}  # noqa: B023 - called at once
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: all(self.pid(name) not in {None, before[name]} for name in services))

    def sent(self) -> int:
        """Frames that the fleet has said by now."""
        told = counters.read(self.data_dir / "fleet" / "counters.json")
        return told.counters["frames_sent"] if told else 0

    def stop(self) -> str:
        """Ask for a stop as Ctrl-C does; gives its standard output."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> str:
        """Wait for it to end by itself; gives its standard output."""
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.said()
        return self.answer.read_text()


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Callable[..., Up]]:
    with ExitStack() as stack:

        def begin(data_dir: Path, *argv: str) -> Up:
            place = tmp_path_factory.mktemp("run")
            words, answer = place / "stderr", place / "stdout"
            port = str(free_port())
            command = (sys.executable, "-m", "stack", "up", "--data-dir", str(data_dir))
            with words.open("wb") as err, answer.open("wb") as out:
                process = subprocess.Popen(
                    (*command, "--api-port", port, "--json", *argv),
                    cwd=PROJECT,
                    stdout=out,
                    stderr=err,
                )
            stack.callback(finish, process)
            return Up(data_dir, process, words, answer)

        yield begin


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the database holds after a run."""

    frames: int
    distinct: int
    boots: int
    orders: int
    doubled_orders: int
    now_ms: int


QUERY = """
SELECT (SELECT count(*) FROM frame),
       (SELECT count(*) FROM (SELECT DISTINCT device_id, ts FROM frame) f),
       (SELECT count(*) FROM boot),
       (SELECT count(*) FROM work_order),
       (SELECT count(*) FROM (SELECT FROM work_order
                              WHERE state NOT IN ('closed', 'cancelled', 'merged')
                              GROUP BY device_id, component, failure_mode HAVING count(*) > 1) w),
       (SELECT extract(epoch FROM now_at)::int8 * 1000 FROM timeline WHERE name = 'sim:demo')
"""


def look_into(data_dir: Path) -> Kept:
    with open_data_dir(data_dir) as home:
        server = EmbeddedPostgres(home)
        with serving(server), connect(server.url("foremend"), name="test") as superuser:
            row = superuser.execute(QUERY).fetchone()
        server.close()
    assert row is not None
    return Kept(**dict(zip(Kept.__dataclass_fields__, row, strict=True)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("up") / "var"


@pytest.fixture(scope="module")
def first(start, folder: Path) -> dict[str, Any]:
    """The totals of a run in which ingest and scoring were killed in mid-flight."""
    run = start(folder, "--histories", "0")
    run.until(lambda: run.sent() > 500)
    run.kill("ingest", "scoring")
    seen = run.sent()
    run.until(lambda: run.sent() > seen + 500)
    totals: dict[str, Any] = json.loads(run.stop().splitlines()[-1])
    return totals | {"said": run.said(), "kept": look_into(folder)}


def test_killing_ingest_and_scoring_loses_no_acknowledged_frame(first) -> None:
    assert "ingest ended unexpectedly (status -9); restarting it" in first["said"]
    assert "scoring ended unexpectedly (status -9); restarting it" in first["said"]
    assert 0 < first["frames_acked"] <= first["frames_stored"]
    assert first["frames_sent"] == first["frames_stored"]
    assert first["gaps"] == 0
    assert first["kept"].frames == first["kept"].distinct == first["frames_stored"]


def test_killing_ingest_and_scoring_opens_no_second_order(first) -> None:
    assert first["kept"].doubled_orders == 0


def test_the_totals_name_storage_broker_and_what_each_process_takes(first) -> None:
    assert first["storage"] in {"postgresql", "timescaledb"}
    assert first["broker"] in {"nats-server", "mosquitto"}
    assert first["rss_mb"].keys() == {"postgres", "broker", *SERVICES, API, FLEET, "up"}
    assert all(5 < mb < 400 for mb in first["rss_mb"].values())
    assert first["rss_mb"]["ingest"] < 80
    assert first["rss_mb"]["scoring"] < 250


def test_a_killed_copy_is_followed_by_one_that_goes_on_from_its_data(
    first, start, folder: Path
) -> None:
    killed = start(folder, "--histories", "0")
    killed.until(lambda: killed.pid("simulate"))
    left = killed.pid("ingest")
    killed.process.kill()
    killed.process.wait()

    after = start(folder, "--histories", "0", "--for", "2s")
    totals = json.loads(after.end().splitlines()[-1])
    kept = look_into(folder)

    assert announced(readiness.file_of(folder / RUN, "ingest")) is None
    assert not Path(f"/proc/{left}").exists()
    assert 0 < totals["frames_acked"] <= totals["frames_stored"] == totals["frames_sent"]
    assert kept.frames == kept.distinct >= first["frames_stored"] + totals["frames_stored"]
    assert kept.boots == 3 * 16
    assert kept.now_ms > first["kept"].now_ms
    assert kept.orders >= first["kept"].orders
    assert kept.doubled_orders == 0
    told_before = {line for line in first["said"].splitlines() if line.startswith("WO-")}
    assert told_before.isdisjoint(after.said().splitlines())


def test_a_stop_while_training_is_one_line_of_totals(start, tmp_path: Path) -> None:
    run = start(tmp_path / "var", "--histories", "400")
    run.until(lambda: "broker:" in run.said())
    asked = time.monotonic()
    out = run.stop()

    assert time.monotonic() - asked < 30
    assert run.said().count("total: ") == 1
    assert "Traceback" not in run.said()
    assert json.loads(out)["frames_sent"] == 0


def refusal(capsys, monkeypatch, *argv: str) -> str:
    """What the command line says on its way out, with status 1."""
    monkeypatch.setattr(sys, "argv", ["foremend", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    return str(said.err)


def test_a_second_copy_is_refused_in_one_sentence(capsys, monkeypatch, tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var"):
        said = refusal(capsys, monkeypatch, "up", "--data-dir", str(tmp_path / "var"))

    assert said.startswith(f"foremend: Foremend already runs on {tmp_path / 'var'} (pid ")
    assert said.count("\n") == 1


def test_a_folder_of_a_later_version_is_refused_in_one_sentence(
    capsys, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "foremend.json").write_text('{"format": 9}')
    said = refusal(capsys, monkeypatch, "up", "--data-dir", str(tmp_path))

    assert "was written in format 9 and this Foremend reads format 1; start the version" in said
    assert said.count("\n") == 1


def test_a_taken_port_is_refused_before_anything_is_started(
    capsys, monkeypatch, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    port = str(postgres_server.port)
    said = refusal(
        capsys, monkeypatch, "up", "--data-dir", str(tmp_path / "var"), "--api-port", port
    )

    assert f"Port {port} for the console is taken by postgres (pid " in said
    assert "choose another port with --api-port" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "var" / "postgres").exists()


def test_a_service_that_outlived_its_supervisor_is_waited_for_and_then_killed(
    tmp_path: Path,
) -> None:
    deaf = (
        "import signal, sys; from foremend import ready\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready.announce(); signal.pause()"
    )
    file = readiness.file_of(tmp_path, "ingest")
    service = subprocess.Popen(
        (sys.executable, "-c", deaf),
        cwd=PROJECT,
        env=os.environ | {"FOREMEND_READY_FILE": str(file)},
    )
    deadline = time.monotonic() + PATIENCE_S
    while announced(file) is None and time.monotonic() < deadline:
        time.sleep(0.02)

    assert readiness.see_off(tmp_path, within_s=0.1) == 1
    assert service.wait(timeout=10) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_dead_process_left_speaks_for_nobody(tmp_path: Path) -> None:
    file = readiness.file_of(tmp_path, "ingest")
    file.write_text(json.dumps({"pid": os.getpid(), "started": 1}))

    assert announced(file) is None
    assert readiness.see_off(tmp_path) == 0
