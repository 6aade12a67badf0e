"""Versions of models, what was found of them, and which of them serve."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of the model registry."""
    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("version", sa.String(length=80), nullable=False),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the card that it had when it was first used",
        ),
        sa.Column("retired_at", sa.Float(), nullable=True, comment="null while it may serve"),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "model_checks",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "machine", sa.String(length=64), nullable=False, comment="hash of host, runtime and settings of the check"
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False, comment="JSON"),
        sa.PrimaryKeyConstraint("digest", "machine"),
    )
    op.create_table(
        "releases",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("models", sa.Text(), nullable=False, comment="JSON: digest by name@version"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="why it was refused"),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("replaces", sa.BigInteger(), nullable=True, comment="the release that a rollback goes back to"),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
