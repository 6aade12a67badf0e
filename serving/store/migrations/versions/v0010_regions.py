"""Regions that people drew on results, to count in or to leave out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table of regions."""
    op.create_table(
        "regions",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("analysis", sa.String(length=40), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("author", sa.String(length=300), nullable=False, comment="principal whose key was shown"),
        sa.Column("reviewer", sa.String(length=80), nullable=False, comment="as the person calls themselves"),
        sa.Column("within", sa.Text(), nullable=True, comment="GeoJSON, level-0 px; null: everywhere"),
        sa.Column("exclude", sa.Text(), nullable=True, comment="GeoJSON, level-0 px; null: nothing"),
        sa.Column(
            "sha256", sa.String(length=64), nullable=True, comment="of both, as reports state it; null without any"
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_regions_analysis", "regions", ["analysis", "number"], unique=False)
