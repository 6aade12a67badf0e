"""Tables of slides, analyses, models and access. The migrations make them; a test holds the two together."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData()

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column of the type INTEGER."""

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False, comment="bytes on this server's disk; 0 where mounted"),
    Column("main", Text, nullable=False, comment="file to open: below the slide's folder, or absolute where mounted"),
    Column("mounted", Boolean, nullable=False),
    Column("stamp", String(64), nullable=False, comment="size and mtime of a mounted file; empty otherwise"),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("mpp", Float),
    Column("vendor", String(80), nullable=False),
    Column("used_at", Float, nullable=False, comment="seconds since 1970, as every time here"),
    Column("id_rule", Integer, nullable=False, server_default="1", comment="that made the id: 2, or before it 1"),
)

slides = Table(
    "slides",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("owner", String(300), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kept", Boolean, nullable=False, comment="false: only until its analyses have ended"),
    Column("created_at", Float, nullable=False),
    Column(
        "mounted", Boolean, nullable=False, server_default=false(), comment="the owner named it in the server's folder"
    ),
    Column("case_name", String(200), nullable=False, server_default="", comment="the case it belongs to; empty: none"),
    UniqueConstraint("owner", "sha256"),
    Index("ix_slides_case", "owner", "case_name"),
)

former_slide_ids = Table(
    "former_slide_ids",
    metadata,
    Column("former", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, comment="id of the slide now"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(300), nullable=False),
    Column("name", Text, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False, comment="the Upload-Metadata header as it came"),
    Column("expires_at", Float, nullable=False),
    Column("sha256", String(64), comment="of the slide that it became"),
)

analyses = Table(
    "analyses",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("owner", String(300), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False, comment="of the slide"),
    Column("options", Text, nullable=False, comment="JSON"),
    Column("request_key", String(64), nullable=False, comment="hash of slide and options"),
    Column("models_key", String(64), comment="hash of the models that ran"),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("tiles_done", Integer, nullable=False),
    Column("tiles_total", Integer),
    Column("seconds_left", Float),
    Column("preliminary", Text, comment="JSON of what is known before the end; null before the first chunk"),
    Column("crashes", Integer, nullable=False, comment="workers lost since the last finished chunk"),
    Column("token", BigInteger, nullable=False, comment="fence: only who holds the newest may write"),
    Column("worker", String(40), nullable=False),
    Column("beat", BigInteger, nullable=False, comment="counts up while the worker lives"),
    Column("result", String(80), comment="folder of the result"),
    Column("problem", String(40), comment="kind of the error"),
    Column("detail", Text),
    Column("idempotency_key", String(200)),
    Column("idempotency_hash", String(64)),
    Column("webhook", Text),
    Column("shadow_of", String(40), comment="the analysis that a candidate's repeats; null for everybody's own"),
    Column("shadow", BigInteger, comment="number of the shadow that it is part of"),
    Column("case_name", String(200), nullable=False, server_default="", comment="of the slide; it outlives the slide"),
    Column("figures", Integer, comment="mitotic figures of the result"),
    Column("density", Float, comment="figures per mm2 of tissue; null without tissue"),
    Column("warned", Integer, comment="number of the result's warnings"),
    Column("summary", Text, comment="JSON of what lists show of the result; null where nobody has read it yet"),
    UniqueConstraint("owner", "idempotency_key"),
    Index("ix_analyses_slide", "owner", "sha256", "number"),
    Index("ix_analyses_state", "state", "priority", "number"),
    Index("ix_analyses_owner", "owner", "number"),
    Index("ix_analyses_request", "request_key", "models_key"),
    Index("ix_analyses_shadow_of", "shadow_of"),
    Index("ix_analyses_shadow", "shadow", "number"),
)

OWN = analyses.c.shadow_of.is_(None)
"""Analyses that somebody asked for; all others repeat one of these for a shadow, and nobody's slide is kept for them."""

events = Table(
    "events",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False, comment="JSON"),
    Index("ix_events_analysis", "analysis", "id"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("analysis", String(40), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("outcome", Text, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("server", String(40), nullable=False, comment="the server that started it"),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("models_key", String(64)),
    Column("cards", Text, nullable=False, comment="JSON of the models' cards"),
    Column("provider", String(80), nullable=False),
    Column("seen_at", Float, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("version", String(80), primary_key=True),
    Column("digest", String(64), nullable=False, comment="SHA-256 of the card that it had when it was first used"),
    Column("retired_at", Float, comment="null while it may serve"),
)

model_checks = Table(
    "model_checks",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("machine", String(64), primary_key=True, comment="hash of host, runtime and settings of the check"),
    Column("at", Float, nullable=False),
    Column("findings", Text, nullable=False, comment="JSON"),
)

releases = Table(
    "releases",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("models", Text, nullable=False, comment="JSON: digest by name@version"),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False, comment="why it was refused"),
    Column("at", Float, nullable=False),
    Column("actor", String(300), nullable=False),
    Column("replaces", BigInteger, comment="the release that a rollback goes back to"),
    Column("because", Text, comment="why its gates were not asked; null where they were"),
    sqlite_autoincrement=True,
)

shadows = Table(
    "shadows",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("models", Text, nullable=False, comment="JSON: digest by name@version"),
    Column("share", Float, nullable=False, comment="of analyses that are repeated, 0 to 1"),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False, comment="why it could not go on"),
    Column("at", Float, nullable=False),
    Column("actor", String(300), nullable=False),
    Column("ended_at", Float),
    sqlite_autoincrement=True,
)

gate_runs = Table(
    "gate_runs",
    metadata,
    Column("models", String(64), primary_key=True, comment="hash of the candidate's and the serving release's digests"),
    Column("golden", String(64), primary_key=True, comment="hash of the golden set's files"),
    Column("machine", String(64), primary_key=True, comment="as of model_checks"),
    Column("at", Float, nullable=False),
    Column("measured", Text, nullable=False, comment="JSON of both"),
)

slide_statistics = Table(
    "slide_statistics",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False, index=True),
    Column("slide", String(64), nullable=False),
    Column("screening", String(64), nullable=False, comment="SHA-256 of the Reg-NS that gave the scores"),
    Column("at", Float, nullable=False),
    Column("statistics", Text, nullable=False, comment="JSON"),
    Index("ix_slide_statistics_screening", "screening", "number"),
    sqlite_autoincrement=True,
)

drift_references = Table(
    "drift_references",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("screening", String(64), nullable=False, index=True),
    Column("source", String(200), nullable=False),
    Column("past", BigInteger, nullable=False, comment="statistics up to this number are its own and not recent"),
    Column("at", Float, nullable=False),
    Column("actor", String(300), nullable=False),
    Column("reference", Text, nullable=False, comment="JSON"),
    sqlite_autoincrement=True,
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(300), nullable=False, comment="principal"),
)

project_members = Table(
    "project_members",
    metadata,
    Column("project", String(40), primary_key=True),
    Column("principal", String(300), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("added_at", Float, nullable=False),
    Column("added_by", String(300), nullable=False, comment="principal"),
    Index("ix_project_members_principal", "principal"),
)

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
    Column("expires_at", String(32), comment="UTC, ISO 8601; null: never"),
    Column("former_sha256", String(64), comment="of the key before it was rotated"),
    Column("former_until", String(32), comment="UTC, ISO 8601; until when the former one holds"),
)

audit = Table(
    "access_audit",
    metadata,
    Column("sequence", NUMBER, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False, comment="UTC, ISO 8601"),
    Column("actor", String(300), nullable=False),
    Column("action", String(200), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
