"""What may import what, and what an import must not cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
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
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TOO_HEAVY_FOR_A_PI = {"numpy", "pydantic", "structlog", "rich", "sklearn", "psycopg", "sqlalchemy"}


def modules_loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name.split(".")[0] for name in shown.stdout.split()}


def test_the_contracts_between_rooms_hold():
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


def test_the_agent_loads_nothing_that_a_small_board_cannot_carry():
    loaded = modules_loaded_by("import edge_agent.app, edge_agent.sources.lines")
    assert not loaded & (TOO_HEAVY_FOR_A_PI | {"typer", "cryptography"})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_in_a_few_lines_what_lives_there(package):
    said = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))
    assert said
    assert len(said.splitlines()) >= 2


def test_importing_a_room_opens_no_connection_and_reads_no_setting():
    rooms = ", ".join(p for p in PACKAGES if p not in {"stack", "edge_agent"})
    opened = (
        "import socket, os; "
        "socket.socket.connect = lambda *a: sys.exit('connected at import'); "
        "os.environ.update(FOREMEND_API_PORT='not a number'); "
        f"import {rooms}, foremend.settings, ingest.app, models.scoring.service"
    )
    assert "ingest" in modules_loaded_by(opened)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_holds_sql(path):
    statements = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.lstrip().startswith(statements), f"line {node.lineno}"
