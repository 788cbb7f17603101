"""The built wheel owns each top-level name once, and carries what the code reads at run time."""

import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWNED = {
    "foremend",
    "edge_agent",
    "ingest",
    "models",
    "alerting",
    "field_service",
    "api",
    "simulators",
    "stack",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_owns_each_top_level_name_exactly_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if not name.startswith("foremend-")}
    assert tops == OWNED
    assert max(Counter(names).values()) == 1


def test_the_wheel_carries_sql_templates_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in ("ingest/ingest.sql", "foremend/db/migrations/versions/0001_foundation.sql"):
        assert needed in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.startswith("api/templates/") for name in names)
    assert not any(name.endswith((".pyc", ".key")) or name.startswith("tests/") for name in names)
