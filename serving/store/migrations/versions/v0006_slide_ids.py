"""Which rule made a slide's id, and what ids slides had before."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Tell slides whose id may be of the former rule; the first start of the server gives those of several files another."""
    op.add_column(
        "blobs",
        sa.Column(
            "id_rule", sa.Integer(), nullable=False, server_default="1", comment="that made the id: 2, or before it 1"
        ),
    )
    op.create_table(
        "former_slide_ids",
        sa.Column("former", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="id of the slide now"),
        sa.PrimaryKeyConstraint("former"),
    )
