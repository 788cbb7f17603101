"""Processes that outlived their supervisor are found by what they are, and moved out."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from stack.embedded.residents import move_out, residents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[[Path, str], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a harmless program under a name, in a folder."""
    children: list[subprocess.Popen[bytes]] = []

    def launch(folder: Path, name: str) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        program = tmp_path / name
        if not program.exists():
            shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
        children.append(subprocess.Popen((program, "60"), cwd=folder))
        return children[-1]

    yield launch
    for child in children:
        child.kill()
        child.wait()


def test_only_the_named_program_in_the_very_folder_is_a_resident(
    tmp_path: Path, start: Start
) -> None:
    ours, elsewhere = tmp_path / "ours", tmp_path / "elsewhere"
    resident = start(ours, "server")
    start(ours, "editor")
    start(elsewhere, "server")

    assert residents(ours, "server") == (resident.pid,)


def test_a_resident_is_asked_to_leave_and_strangers_are_left_alone(
    tmp_path: Path, start: Start
) -> None:
    resident = start(tmp_path / "ours", "server")
    stranger = start(tmp_path / "elsewhere", "server")

    assert move_out(tmp_path / "ours", "server", now=hurried_clock()) == 1
    assert resident.wait() == -signal.SIGINT
    assert stranger.poll() is None


def test_a_resident_that_answers_nothing_is_killed(tmp_path: Path, start: Start) -> None:
    resident = start(tmp_path / "ours", "server")
    resident.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, resident.pid, os.WSTOPPED)

    assert move_out(tmp_path / "ours", "server", now=hurried_clock()) == 1
    assert resident.wait() == -signal.SIGKILL


def hurried_clock() -> Callable[[], float]:
    """Return a clock on which a second passes between any two looks."""
    return map(float, itertools.count()).__next__
