"""What the documents name exists: files, commands and variables."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer.main

from foremend.settings import Settings
from stack.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROOMS = (
    "foremend",
    "edge_agent",
    "ingest",
    "models",
    "alerting",
    "field_service",
    "api",
    "simulators",
    "stack",
)

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
QUOTED = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
COMMAND = re.compile(r"(?:^|(?<!from)[\s`/])foremend ([a-z][a-z-]*)")
VARIABLE = re.compile(r"\bFOREMEND_[A-Z][A-Z_]*\b")
SOURCE_FILE = re.compile(
    rf"(?:{'|'.join((*ROOMS, 'tests', 'docs'))})(?:/[A-Za-z0-9_.-]+)+\.(?:py|sql|toml|md|png)"
)
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def quoted(document: Path) -> str:
    return "\n".join(QUOTED.findall(document.read_text("utf-8")))


def constants(folder: str) -> set[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / folder).rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and _is_variable(node)}


def _is_variable(node: ast.Constant) -> bool:
    return isinstance(node.value, str) and VARIABLE.fullmatch(node.value) is not None


@cache
def known_variables() -> frozenset[str]:
    settings = {f"FOREMEND_{name.upper()}" for name in Settings.model_fields}
    read = {name for room in ROOMS for name in constants(room)}
    of_tests = {name for name in constants("tests") if name.startswith("FOREMEND_TEST_")}
    return frozenset(settings | read | of_tests)


@each_document
def test_a_link_leads_to_a_file(document):
    targets = [t for t in LINK.findall(document.read_text("utf-8")) if "://" not in t]
    missing = [target for target in targets if not (document.parent / target).resolve().exists()]
    assert not missing


@each_document
def test_a_file_that_is_named_exists(document):
    named = set(SOURCE_FILE.findall(quoted(document)))
    assert not {name for name in named if not (ROOT / name).is_file()}


@each_document
def test_a_command_that_is_named_exists(document):
    known = set(typer.main.get_command(app).commands)
    assert not set(COMMAND.findall(quoted(document))) - known


@each_document
def test_a_variable_that_is_named_is_read(document):
    named = set(VARIABLE.findall(document.read_text("utf-8")))
    assert not named - known_variables()


def test_every_setting_is_told_in_the_readme():
    told = set(VARIABLE.findall((ROOT / "README.md").read_text("utf-8")))
    assert {f"FOREMEND_{name.upper()}" for name in Settings.model_fields} <= told


def test_the_readers_of_documents_find_what_they_look_for():
    text = "`foremend up`, `.venv/bin/foremend field-service`, FOREMEND_PG_BIN, `ingest/plan.py`"
    assert COMMAND.findall(text) == ["up", "field-service"]
    assert VARIABLE.findall(text) == ["FOREMEND_PG_BIN"]
    assert SOURCE_FILE.findall(text) == ["ingest/plan.py"]
    assert LINK.findall("[a](docs/b.md#c) ![d](e.png)") == ["docs/b.md", "e.png"]
