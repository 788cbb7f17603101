"""A soak that runs in a process of its own while other tests do: it mostly waits.

python -m tests.soak_beside FILE

The file holds the report's figures once the soak is over.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import gettempdir

from stack.drill.ground import NotHere
from stack.soak.run import Course, soak

ROOT = Path(__file__).parents[1]
COURSE = Course(minutes=2.0, seed=4, rest_s=(2.0, 5.0), hold_s=(1.0, 6.0))


def report_file() -> Path:
    """Name the file of this run of the tests, whichever of its processes asks."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return Path(gettempdir()) / f"foremend-soak-{run}.json"


def begin() -> None:
    """Start it, and leave it alone: it ends by itself, and nobody waits for it but its test."""
    errors = str(report_file().with_suffix(".log"))
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tests.soak_beside", str(report_file())],
        os.environ | {"PYTHONPATH": str(ROOT)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, errors, os.O_WRONLY | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setpgroup=0,
    )


def main(file: Path) -> None:
    try:
        found = soak(COURSE).figures()
    except NotHere as reason:
        found = {"skipped": str(reason)}
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.replace(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
