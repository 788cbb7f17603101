"""Logs are kept short while their writer holds them open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stack.logfile import LogFile

if TYPE_CHECKING:
    from pathlib import Path


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    log = LogFile(path=tmp_path / "ingest.log", limit=10)
    log.path.write_bytes(b"0123456789")

    assert not log.rotate()
    assert not LogFile(path=tmp_path / "never-written.log").rotate()
    assert [file.name for file in tmp_path.iterdir()] == ["ingest.log"]


def test_the_writer_goes_on_in_an_emptied_file_and_old_parts_fall_off(tmp_path: Path) -> None:
    log = LogFile(path=tmp_path / "ingest.log", limit=3, kept=2)
    with log.open() as sink:
        for part in (b"one\n", b"two\n", b"three\n"):
            sink.write(part)
            sink.flush()
            assert log.rotate()
        sink.write(b"now\n")

    parts = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert parts == {
        "ingest.log": b"now\n",
        "ingest.log.1": b"three\n",
        "ingest.log.2": b"two\n",
    }
