"""Devices that prove who they are, commands to them and their configuration."""

from foremend.db.migrations import run_sibling

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
