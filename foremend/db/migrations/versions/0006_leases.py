"""Leases of partitions, and what ingest needs to share them."""

from foremend.db.migrations import run_sibling

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
