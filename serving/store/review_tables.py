"""Tables of what people say of an analysis: verdicts, regions, readings, studies, signatures."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, false

from serving.store.tables import NUMBER, metadata

reviews = Table(
    "reviews",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Column("author", String(300), nullable=False, comment="principal whose key was shown"),
    Column("reviewer", String(80), nullable=False, comment="as the person calls themselves"),
    Column("action", String(16), nullable=False),
    Column("target", String(40), nullable=False),
    Column("x", Float, comment="of the box that was added, level-0 px"),
    Column("y", Float),
    Column("width", Float),
    Column("height", Float),
    Column("label", String(80)),
    Column("reason", Text, nullable=False),
    Column("study", String(40), nullable=False, server_default="", comment="that it is part of; empty: none"),
    Column(
        "consensus",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="said after both readings, of what counts in the end",
    ),
    Index("ix_reviews_analysis", "analysis", "number"),
    sqlite_autoincrement=True,
)

studies = Table(
    "studies",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(300), nullable=False),
    Column("name", Text, nullable=False),
    Column("seed", BigInteger, nullable=False, comment="of the orders in which slides are read"),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(300), nullable=False, comment="principal"),
    Index("ix_studies_owner", "owner"),
)

study_readers = Table(
    "study_readers",
    metadata,
    Column("study", String(40), primary_key=True),
    Column("author", String(300), primary_key=True, comment="principal whose key is shown"),
    Column("reviewer", String(80), primary_key=True, comment="as the person calls themselves"),
    Column("number", Integer, nullable=False, comment="place among the study's readers, from 0 on"),
)

study_readings = Table(
    "study_readings",
    metadata,
    Column("study", String(40), primary_key=True),
    Column("reader", Integer, primary_key=True, comment="number of study_readers"),
    Column("analysis", String(40), primary_key=True),
    Column("place", Integer, nullable=False, comment="in the order of this reader, from 0 on"),
    Column("finished_at", Float, comment="null while the slide is to be read"),
    Index("ix_study_readings_analysis", "analysis"),
)

study_visits = Table(
    "study_visits",
    metadata,
    Column("study", String(40), primary_key=True),
    Column("reader", Integer, primary_key=True),
    Column("analysis", String(40), primary_key=True),
    Column("visit", String(40), primary_key=True, comment="of one opening of the slide in one page"),
    Column("active_s", Float, nullable=False, comment="time in which the page was looked at, so far"),
    Column("began_at", Float, nullable=False),
    Index("ix_study_visits_analysis", "analysis"),
)

readings = Table(
    "readings",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False),
    Column("reader", String(300), nullable=False, comment="principal whose key is shown"),
    Column("reviewer", String(80), nullable=False, comment="as the person calls themselves"),
    Column("given_at", Float, nullable=False),
    Column("given_by", String(300), nullable=False, comment="principal"),
    Column("finished_at", Float, comment="null while others' verdicts are hidden from the reader"),
    Column("withdrawn_at", Float, comment="null while it counts"),
    Index("ix_readings_analysis", "analysis", "number"),
    Index("ix_readings_reader", "reader"),
    sqlite_autoincrement=True,
)

signatures = Table(
    "signatures",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Column("author", String(300), nullable=False, comment="principal whose key was shown"),
    Column("name", String(300), nullable=False, comment="as key or login state it"),
    Column("reviewer", String(80), nullable=False, comment="as the person calls themselves"),
    Column("query", Text, nullable=False, comment="JSON of how was counted"),
    Column("last_entry", BigInteger, nullable=False, comment="of the record of reviews that was heard"),
    Column("region_entry", BigInteger, comment="of the record of regions; null without one"),
    Column("sha256", String(64), nullable=False, comment="of what was signed"),
    Column("summary", Text, nullable=False, comment="JSON of the main numbers"),
    Index("ix_signatures_analysis", "analysis", "number"),
    sqlite_autoincrement=True,
)

regions = Table(
    "regions",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=True),
    Column("analysis", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Column("author", String(300), nullable=False, comment="principal whose key was shown"),
    Column("reviewer", String(80), nullable=False, comment="as the person calls themselves"),
    Column("within", Text, comment="GeoJSON, level-0 px; null: everywhere"),
    Column("exclude", Text, comment="GeoJSON, level-0 px; null: nothing"),
    Column("sha256", String(64), comment="of both, as reports state it; null without any"),
    Column("reason", Text, nullable=False),
    Index("ix_regions_analysis", "analysis", "number"),
    sqlite_autoincrement=True,
)
