"""Named blocks of SQL: split at their names, and asked for by none but these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foremend.db import Queries
from foremend.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("foremend", "ingest", "models", "alerting", "field_service", "api", "stack")
FILES = sorted(
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.sql")
    if "migrations" not in path.parts
)


def test_blocks_are_split_at_their_names_and_a_heading_is_left_out() -> None:
    text = "-- What this is.\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2;\n"
    queries = Queries.parse(text)
    assert (queries["one"], queries["two"]) == (b"SELECT 1", b"-- why\nSELECT 2;")


def test_a_block_that_is_not_there_is_named_with_its_file() -> None:
    with pytest.raises(ConfigurationError, match=r"x/y\.sql has no block named 'three'"):
        Queries.parse("-- name: one\nSELECT 1\n", "x/y.sql")["three"]


def test_a_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"x\.sql: a block's name occurs twice"):
        Queries.parse("-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n", "x.sql")


def test_text_without_names_has_no_blocks() -> None:
    with pytest.raises(ConfigurationError):
        Queries.parse("SELECT 1\n")["SELECT"]


def test_there_are_files_to_check() -> None:
    assert len(FILES) > 5


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_ships_reads_and_no_block_is_empty(file: Path) -> None:
    text = file.read_text("utf-8")
    queries = Queries.parse(text, str(file))
    for name in re.findall(r"^-- name: (.*)$", text, re.MULTILINE):
        assert queries[name.strip()]
