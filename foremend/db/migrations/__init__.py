"""Forward-only revisions; each runs the `.sql` file of its own name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from alembic import op

if TYPE_CHECKING:
    import psycopg


def run_sibling(revision_file: str) -> None:
    """Run the `.sql` file that stands beside a revision."""
    bind = op.get_bind()
    driver = cast("psycopg.Connection", bind.connection.driver_connection)
    driver.execute(Path(revision_file).with_suffix(".sql").read_bytes())
