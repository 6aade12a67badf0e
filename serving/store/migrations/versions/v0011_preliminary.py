"""What is known of an analysis before it has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Analyses that run get it with their next chunk."""
    comment = "JSON of what is known before the end; null before the first chunk"
    op.add_column("analyses", sa.Column("preliminary", sa.Text(), comment=comment))
