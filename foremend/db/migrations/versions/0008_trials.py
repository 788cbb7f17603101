"""Trials of challengers, and proposals to learn anew."""

from foremend.db.migrations import run_sibling

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
