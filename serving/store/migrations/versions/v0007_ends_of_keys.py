"""When keys end, and what a rotated key was before."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Keys that are there never expire and were never rotated."""
    for name, length, comment in (
        ("expires_at", 32, "UTC, ISO 8601; null: never"),
        ("former_sha256", 64, "of the key before it was rotated"),
        ("former_until", 32, "UTC, ISO 8601; until when the former one holds"),
    ):
        op.add_column("access_keys", sa.Column(name, sa.String(length=length), nullable=True, comment=comment))
