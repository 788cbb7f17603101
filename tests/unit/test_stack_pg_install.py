"""The PostgreSQL that was chosen is used, and what it lacks is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stack.embedded.pg_install import (
    BIN_VARIABLE,
    Install,
    NoPostgres,
    Source,
    find_install,
    timescaledb_version,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder whose `postgres` tells its version and does nothing else."""
    folder = tmp_path / "pg" / "bin"
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.4 (made up)'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_chosen_folder_comes_before_the_wheel(programs: Path) -> None:
    assert find_install({BIN_VARIABLE: str(programs)}) == Install(
        bin_dir=programs, major=16, source=Source.CHOSEN
    )


def test_a_chosen_folder_without_a_program_is_named(programs: Path) -> None:
    (programs / "initdb").unlink()

    with pytest.raises(NoPostgres, match=r"bin \(FOREMEND_PG_BIN\) has no program initdb"):
        find_install({BIN_VARIABLE: str(programs)})


def test_a_program_that_does_not_run_is_said_so(programs: Path) -> None:
    (programs / "postgres").write_text("#!/bin/sh\nexit 1\n")

    with pytest.raises(NoPostgres, match="does not run; install PostgreSQL again"):
        find_install({BIN_VARIABLE: str(programs)})


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ((), None),
        (("share/extension/timescaledb.control",), None),
        (("share/extension/timescaledb.control", "lib/timescaledb.so"), "2.99.1"),
        (
            (
                "share/postgresql/extension/timescaledb.control",
                "lib/postgresql/timescaledb.so",
            ),
            "2.99.1",
        ),
    ],
)
def test_timescaledb_counts_once_both_its_parts_are_there(
    programs: Path, files: tuple[str, ...], version: str | None
) -> None:
    for name in files:
        file = programs.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("comment = 'x'\ndefault_version = '2.99.1'\n")
    install = Install(bin_dir=programs, major=99, source=Source.CHOSEN)

    assert timescaledb_version(install) == version
