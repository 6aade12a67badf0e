"""Projects: owners that several people act as."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the tables of projects and of who may act as them."""
    op.create_table(
        "projects",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(300), nullable=False, comment="principal"),
    )
    op.create_table(
        "project_members",
        sa.Column("project", sa.String(40), primary_key=True),
        sa.Column("principal", sa.String(300), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.Column("added_by", sa.String(300), nullable=False, comment="principal"),
    )
    op.create_index("ix_project_members_principal", "project_members", ["principal"])
