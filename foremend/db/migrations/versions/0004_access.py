"""People who sign in, what they did, and the walls between tenants."""

from foremend.db.migrations import run_sibling

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; there is no way back."""
    run_sibling(__file__)
