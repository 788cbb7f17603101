"""Alerts and everything that leaves by the outbox."""

from foremend.db.migrations import run_sibling

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
