"""Studies: sets of analyses that several readers judge, each alone and in an order of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables of studies, and have reviews say of which study they are."""
    op.create_table(
        "studies",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(300), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="of the orders in which slides are read"),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(300), nullable=False, comment="principal"),
    )
    op.create_index("ix_studies_owner", "studies", ["owner"])
    op.create_table(
        "study_readers",
        sa.Column("study", sa.String(40), primary_key=True),
        sa.Column("author", sa.String(300), primary_key=True, comment="principal whose key is shown"),
        sa.Column("reviewer", sa.String(80), primary_key=True, comment="as the person calls themselves"),
        sa.Column("number", sa.Integer(), nullable=False, comment="place among the study's readers, from 0 on"),
    )
    op.create_table(
        "study_readings",
        sa.Column("study", sa.String(40), primary_key=True),
        sa.Column("reader", sa.Integer(), primary_key=True, comment="number of study_readers"),
        sa.Column("analysis", sa.String(40), primary_key=True),
        sa.Column("place", sa.Integer(), nullable=False, comment="in the order of this reader, from 0 on"),
        sa.Column("finished_at", sa.Float(), nullable=True, comment="null while the slide is to be read"),
    )
    op.create_index("ix_study_readings_analysis", "study_readings", ["analysis"])
    op.create_table(
        "study_visits",
        sa.Column("study", sa.String(40), primary_key=True),
        sa.Column("reader", sa.Integer(), primary_key=True),
        sa.Column("analysis", sa.String(40), primary_key=True),
        sa.Column("visit", sa.String(40), primary_key=True, comment="of one opening of the slide in one page"),
        sa.Column("active_s", sa.Float(), nullable=False, comment="time in which the page was looked at, so far"),
        sa.Column("began_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_study_visits_analysis", "study_visits", ["analysis"])
    op.add_column(
        "reviews",
        sa.Column("study", sa.String(40), nullable=False, server_default="", comment="that it is part of; empty: none"),
    )
