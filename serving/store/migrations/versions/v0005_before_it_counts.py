"""Candidates beside what serves, gates before it, and what is watched after it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of shadows, gates and drift."""
    op.add_column(
        "analyses",
        sa.Column(
            "shadow_of",
            sa.String(length=40),
            nullable=True,
            comment="the analysis that a candidate's repeats; null for everybody's own",
        ),
    )
    op.add_column(
        "analyses",
        sa.Column("shadow", sa.BigInteger(), nullable=True, comment="number of the shadow that it is part of"),
    )
    op.create_index("ix_analyses_shadow_of", "analyses", ["shadow_of"])
    op.create_index("ix_analyses_shadow", "analyses", ["shadow", "number"])
    op.add_column(
        "releases",
        sa.Column("because", sa.Text(), nullable=True, comment="why its gates were not asked; null where they were"),
    )
    op.create_table(
        "shadows",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("models", sa.Text(), nullable=False, comment="JSON: digest by name@version"),
        sa.Column("share", sa.Float(), nullable=False, comment="of analyses that are repeated, 0 to 1"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="why it could not go on"),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "gate_runs",
        sa.Column(
            "models",
            sa.String(length=64),
            nullable=False,
            comment="hash of the candidate's and the serving release's digests",
        ),
        sa.Column("golden", sa.String(length=64), nullable=False, comment="hash of the golden set's files"),
        sa.Column("machine", sa.String(length=64), nullable=False, comment="as of model_checks"),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("measured", sa.Text(), nullable=False, comment="JSON of both"),
        sa.PrimaryKeyConstraint("models", "golden", "machine"),
    )
    op.create_table(
        "slide_statistics",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("analysis", sa.String(length=40), nullable=False),
        sa.Column("slide", sa.String(length=64), nullable=False),
        sa.Column(
            "screening", sa.String(length=64), nullable=False, comment="SHA-256 of the Reg-NS that gave the scores"
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("statistics", sa.Text(), nullable=False, comment="JSON"),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_slide_statistics_analysis"), "slide_statistics", ["analysis"])
    op.create_index("ix_slide_statistics_screening", "slide_statistics", ["screening", "number"])
    op.create_table(
        "drift_references",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("screening", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column(
            "past",
            sa.BigInteger(),
            nullable=False,
            comment="statistics up to this number are its own and not recent",
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False, comment="JSON"),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_drift_references_screening"), "drift_references", ["screening"])
