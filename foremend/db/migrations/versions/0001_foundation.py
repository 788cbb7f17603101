"""Devices, telemetry, receipts, the input log and what scoring writes."""

from foremend.db.migrations import run_sibling

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
