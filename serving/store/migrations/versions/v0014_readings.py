"""Readings that are given to people, verdicts that two readers agreed on, and signatures of reports."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the tables of readings and signatures; what was said until now is nobody's consensus."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    comment = "said after both readings, of what counts in the end"
    op.add_column(
        "reviews", sa.Column("consensus", sa.Boolean(), nullable=False, server_default=sa.false(), comment=comment)
    )
    op.create_table(
        "readings",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("analysis", sa.String(40), nullable=False),
        sa.Column("reader", sa.String(300), nullable=False, comment="principal whose key is shown"),
        sa.Column("reviewer", sa.String(80), nullable=False, comment="as the person calls themselves"),
        sa.Column("given_at", sa.Float(), nullable=False),
        sa.Column("given_by", sa.String(300), nullable=False, comment="principal"),
        sa.Column("finished_at", sa.Float(), comment="null while others' verdicts are hidden from the reader"),
        sa.Column("withdrawn_at", sa.Float(), comment="null while it counts"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_readings_analysis", "readings", ["analysis", "number"])
    op.create_index("ix_readings_reader", "readings", ["reader"])
    op.create_table(
        "signatures",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("analysis", sa.String(40), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("author", sa.String(300), nullable=False, comment="principal whose key was shown"),
        sa.Column("name", sa.String(300), nullable=False, comment="as key or login state it"),
        sa.Column("reviewer", sa.String(80), nullable=False, comment="as the person calls themselves"),
        sa.Column("query", sa.Text(), nullable=False, comment="JSON of how was counted"),
        sa.Column("last_entry", sa.BigInteger(), nullable=False, comment="of the record of reviews that was heard"),
        sa.Column("region_entry", sa.BigInteger(), comment="of the record of regions; null without one"),
        sa.Column("sha256", sa.String(64), nullable=False, comment="of what was signed"),
        sa.Column("summary", sa.Text(), nullable=False, comment="JSON of the main numbers"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_signatures_analysis", "signatures", ["analysis", "number"])
