"""Slides, uploads, analyses, events, webhooks and workers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first release's tables."""
    op.create_table(
        "analyses",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="of the slide"),
        sa.Column("options", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("request_key", sa.String(length=64), nullable=False, comment="hash of slide and options"),
        sa.Column("models_key", sa.String(length=64), nullable=True, comment="hash of the models that ran"),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("tiles_done", sa.Integer(), nullable=False),
        sa.Column("tiles_total", sa.Integer(), nullable=True),
        sa.Column("seconds_left", sa.Float(), nullable=True),
        sa.Column("crashes", sa.Integer(), nullable=False, comment="workers lost since the last finished chunk"),
        sa.Column("token", sa.BigInteger(), nullable=False, comment="fence: only who holds the newest may write"),
        sa.Column("worker", sa.String(length=40), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False, comment="counts up while the worker lives"),
        sa.Column("result", sa.String(length=80), nullable=True, comment="folder of the result"),
        sa.Column("problem", sa.String(length=40), nullable=True, comment="kind of the error"),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("idempotency_hash", sa.String(length=64), nullable=True),
        sa.Column("webhook", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("owner", "idempotency_key"),
    )
    op.create_index("ix_analyses_owner", "analyses", ["owner", "number"], unique=False)
    op.create_index("ix_analyses_request", "analyses", ["request_key", "models_key"], unique=False)
    op.create_index(op.f("ix_analyses_sha256"), "analyses", ["sha256"], unique=False)
    op.create_index("ix_analyses_state", "analyses", ["state", "priority", "number"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes on this server's disk; 0 where mounted"),
        sa.Column(
            "main",
            sa.Text(),
            nullable=False,
            comment="file to open: below the slide's folder, or absolute where mounted",
        ),
        sa.Column("mounted", sa.Boolean(), nullable=False),
        sa.Column(
            "stamp", sa.String(length=64), nullable=False, comment="size and mtime of a mounted file; empty otherwise"
        ),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("mpp", sa.Float(), nullable=True),
        sa.Column("vendor", sa.String(length=80), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=False, comment="seconds since 1970, as every time here"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("analysis", sa.String(length=40), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_deliveries_analysis"), "deliveries", ["analysis"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("analysis", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_analysis", "events", ["analysis", "id"], unique=False)
    op.create_table(
        "slides",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False, comment="false: only until its analyses have ended"),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("owner", "sha256"),
    )
    op.create_index(op.f("ix_slides_sha256"), "slides", ["sha256"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False, comment="the Upload-Metadata header as it came"),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="of the slide that it became"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("server", sa.String(length=40), nullable=False, comment="the server that started it"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("models_key", sa.String(length=64), nullable=True),
        sa.Column("cards", sa.Text(), nullable=False, comment="JSON of the models' cards"),
        sa.Column("provider", sa.String(length=80), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
