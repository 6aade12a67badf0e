"""The tables of keys and audit records, in one SQLite file or one PostgreSQL schema."""

from pathlib import Path

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS = 5000
"""How long one writer of the SQLite file waits for another, which holds it for milliseconds."""

metadata = MetaData()

keys = Table(
    "access_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sha256", String(64), nullable=False, comment="of the whole key; the key itself is nowhere"),
    Column("name", String(200), nullable=False),
    Column("scopes", String(64), nullable=False, comment="comma-separated"),
    Column("requests_per_minute", Integer),
    Column("disk_quota_bytes", BigInteger),
    Column("created_at", String(32), nullable=False, comment="UTC, ISO 8601"),
    Column("revoked_at", String(32), comment="UTC, ISO 8601; null while it holds"),
)

audit = Table(
    "access_audit",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False, comment="UTC, ISO 8601"),
    Column("actor", String(300), nullable=False),
    Column("action", String(200), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

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
for _dialect, _statements in _APPEND_ONLY.items():
    for _statement in _statements:
        _ddl = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(audit, "after_create", _ddl)


def open_database(url: str | Path) -> Engine:
    """The database at a SQLite path or an SQLAlchemy URL, with the tables made where they are missing."""
    if isinstance(url, Path):
        url.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        url.touch(mode=0o600, exist_ok=True)
    engine = create_engine(f"sqlite:///{url}" if isinstance(url, Path) else make_url(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure)
    metadata.create_all(engine)
    return engine


def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # An audit record must outlive a power cut, so each commit reaches the disk.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.close()
