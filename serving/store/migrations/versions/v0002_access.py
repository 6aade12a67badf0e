"""Keys and the audit log join the other tables.

Before, they were made outside the migrations: with SQLite in a file of their own, `access.sqlite` beside the database, which
is read here and left as it is; in a database of `MITOSIS_DATABASE` in their place, where nothing is left to do.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER access_audit_no_{change.lower()} BEFORE {change} ON access_audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        for change in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION access_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER access_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access_audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION access_audit_refuse()",
    ],
}


def upgrade() -> None:
    """Make the tables of keys and audit records, and take over what the previous release wrote."""
    if sa.inspect(op.get_bind()).has_table("access_keys"):
        return
    keys = op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="of the whole key; the key itself is nowhere"
        ),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scopes", sa.String(length=64), nullable=False, comment="comma-separated"),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("disk_quota_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.String(length=32), nullable=False, comment="UTC, ISO 8601"),
        sa.Column("revoked_at", sa.String(length=32), nullable=True, comment="UTC, ISO 8601; null while it holds"),
        sa.PrimaryKeyConstraint("id"),
    )
    audit = op.create_table(
        "access_audit",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", sa.String(length=32), nullable=False, comment="UTC, ISO 8601"),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
    former = _former()
    if former is not None:
        _take_over(former, keys, audit)


def _former() -> Path | None:
    """The previous release's file; None where there is none."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return None
    (file,) = [row.file for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main"]
    path = Path(file).with_name("access.sqlite")
    return path if path.is_file() else None


def _take_over(former: Path, *tables: sa.Table) -> None:
    with closing(sqlite3.connect(former)) as source:
        source.row_factory = sqlite3.Row
        for table in tables:
            rows = [dict(row) for row in source.execute(str(table.select()))]
            if rows:
                op.bulk_insert(table, rows)
