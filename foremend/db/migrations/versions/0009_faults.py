"""Alerts of faults that devices tell themselves."""

from foremend.db.migrations import run_sibling

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
