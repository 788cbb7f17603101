"""A server that did not start is explained from its own last words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stack.embedded.logtail import diagnose, last_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('LOG: could not bind IPv4 address "127.0.0.1": Address already in use', "port was taken"),
        ("PANIC: could not write to file: No space left on device", "the disk is full"),
        ("FATAL: could not map anonymous shared memory: Cannot allocate memory", "memory ran out"),
        ("FATAL: something new", "its last words were: FATAL: something new"),
    ],
)
def test_known_trouble_is_turned_into_advice(tmp_path: Path, line: str, advice: str) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(f"LOG: starting\n{line}\n")

    assert advice in diagnose("PostgreSQL", log, 0)
    assert str(log) in diagnose("PostgreSQL", log, 0)


def test_only_words_of_this_start_count(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    old = "FATAL: No space left on device\n"
    log.write_text(f"{old}FATAL: new\n")

    assert last_lines(log, since=len(old)) == ("FATAL: new",)


def test_a_server_that_said_nothing_is_explained_as_such(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.touch()

    assert "its last words were: none" in diagnose("PostgreSQL", log, 0)
