"""Every child hangs on a leash whose end the supervisor holds."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from stack.command import LEASH, Account, Command, spawn, stop


def test_the_leash_names_parent_signal_and_user() -> None:
    account = Account(uid=65534, gid=65533)
    vector = Command(argv=("postgres", "-D", "x"), account=account).leashed(42)

    assert vector[:4] == (sys.executable, "-I", "-S", str(LEASH))
    assert vector[4:] == ("42", "15", "65534:65533", "postgres", "-D", "x")


def test_a_program_that_is_not_there_ends_with_the_shells_status() -> None:
    child = spawn(Command(argv=("/nonexistent/server",)), stdout=subprocess.PIPE)
    output, _ = child.communicate(timeout=20)

    assert child.returncode == 127
    assert output == b"cannot start /nonexistent/server: No such file or directory\n"


def test_a_child_leads_a_group_of_its_own_and_stops_when_told() -> None:
    command = Command(argv=("sleep", "60"), cwd=Path("/"))
    child = spawn(command, stdout=subprocess.DEVNULL)

    assert os.getpgid(child.pid) == child.pid
    assert stop(child, command, patience=20) < 0


def test_a_child_of_a_killed_parent_dies_too() -> None:
    parent = subprocess.Popen(
        (sys.executable, "-c", PARENT), stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()

    # The descriptor becomes readable when the process ends; the test's timeout bounds the wait.
    assert select.select([child], [], [], 30)[0] == [child]
    parent.stdout.close()
    os.close(child)


PARENT = """
import subprocess, sys
from stack.command import Command, spawn
child = spawn(Command(argv=("sh", "-c", "echo up; exec sleep 60")), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
