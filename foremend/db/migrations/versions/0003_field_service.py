"""The service network, parts, work orders and findings."""

from foremend.db.migrations import run_sibling

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
