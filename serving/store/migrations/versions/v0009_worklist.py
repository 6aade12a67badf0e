"""What a list of slides shows and is searched by: the case of a slide, and what its results amount to."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_PATTERN = re.compile(r"^(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}|CASE[-_][A-Z0-9]+)", re.IGNORECASE)
"""The default when this was written; other patterns hold for slides that arrive."""


def upgrade() -> None:
    """Slides that are there get the case that their name states. Results are read by the server afterwards."""
    for table, comment in (("slides", "the case it belongs to; empty: none"), ("analyses", _OUTLIVES)):
        column = sa.Column("case_name", sa.String(200), nullable=False, server_default="", comment=comment)
        op.add_column(table, column)
    op.add_column("analyses", sa.Column("figures", sa.Integer(), comment="mitotic figures of the result"))
    op.add_column(
        "analyses", sa.Column("density", sa.Float(), comment="figures per mm2 of tissue; null without tissue")
    )
    op.add_column("analyses", sa.Column("warned", sa.Integer(), comment="number of the result's warnings"))
    op.add_column(
        "analyses",
        sa.Column(
            "summary", sa.Text(), comment="JSON of what lists show of the result; null where nobody has read it yet"
        ),
    )
    op.create_index("ix_slides_case", "slides", ["owner", "case_name"])
    op.create_index("ix_analyses_slide", "analyses", ["owner", "sha256", "number"])
    for named in ("slides", "analyses"):
        rows = sa.table(named, sa.column("number"), sa.column("name"), sa.column("case_name"))
        for number, text in op.get_bind().execute(sa.select(rows.c.number, rows.c.name)).all():
            if found := _PATTERN.search(text):
                op.execute(rows.update().where(rows.c.number == number).values(case_name=found[1]))


_OUTLIVES = "of the slide; it outlives the slide"
