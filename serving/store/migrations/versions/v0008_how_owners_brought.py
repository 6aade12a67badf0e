"""How each owner brought a slide: by naming a file in the server's folder, or as bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Until now it was known of the slide alone, whoever brought it."""
    op.add_column(
        "slides",
        sa.Column(
            "mounted",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="the owner named it in the server's folder",
        ),
    )
    slides = sa.table("slides", sa.column("sha256"), sa.column("mounted"))
    blobs = sa.table("blobs", sa.column("sha256"), sa.column("mounted", sa.Boolean()))
    named = sa.select(blobs.c.sha256).where(blobs.c.mounted)
    op.execute(slides.update().where(slides.c.sha256.in_(named)).values(mounted=sa.true()))
