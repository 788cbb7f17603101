"""Rollups, and how far each was worked out."""

from foremend.db.migrations import run_sibling

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
