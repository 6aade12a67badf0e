"""Signatures: who stands by the counts of a report, and what exactly was signed."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Row, insert, select

from serving.core.errors import MitoserveError
from serving.jobs.sending import put_signed
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.review_tables import signatures
from serving.store.tables import analyses

MOST = 200
"""Signatures of one analysis."""


class SignatureError(MitoserveError):
    """The counts cannot be signed."""

    slug = "malformed-request"


class CountsChangedError(MitoserveError):
    """What is to be signed is not what was seen."""

    slug = "counts-changed"


class NoSuchSignatureError(MitoserveError):
    """There is no such signature of the analysis."""

    slug = "not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """What somebody signs.

    name : of the key or login; empty where it has none
    query : how was counted, as a request of a report states it
    last_entry : of the record of reviews; what was said later was not signed
    region_entry : of the record of regions; None where nobody had drawn
    sha256 : see `serving.scoring.report_identity.identify_counts`
    summary : the main numbers, for lists
    """

    author: str
    name: str
    reviewer: str
    query: Mapping[str, Any]
    last_entry: int
    region_entry: int | None
    sha256: str
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignature(SigningRequest):
    """A signature as it was made; nothing of it changes."""

    number: int
    at: float
    """Seconds since 1970."""


class SignatureStore:
    """The signatures of all analyses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, analysis_id: str) -> list[StoredSignature]:
        """Those of an analysis, the last first."""
        chosen = select(signatures).where(signatures.c.analysis == analysis_id).order_by(signatures.c.number.desc())
        with self._database.reading() as tx:
            return [_read(row) for row in tx.execute(chosen)]

    def get(self, analysis_id: str, number: int) -> StoredSignature:
        """One of them; raises `NoSuchSignatureError`."""
        chosen = select(signatures).where(signatures.c.analysis == analysis_id, signatures.c.number == number)
        with self._database.reading() as tx:
            row = tx.execute(chosen).first()
        if row is None:
            raise NoSuchSignatureError(f"the analysis has no signature {number}")
        return _read(row)

    def add(self, analysis_id: str, wanted: SigningRequest, settings: ServerSettings) -> StoredSignature:
        """Record a signature, and what is to be sent of the result for it.

        Raises
        ------
        SignatureError
            If the analysis is gone, or has `MOST` signatures.
        """
        values = {field.name: getattr(wanted, field.name) for field in fields(SigningRequest)}
        values |= {name: json.dumps(values[name], sort_keys=True) for name in ("query", "summary")}
        with self._database.writing() as tx:
            if tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is None:
                raise SignatureError("the analysis was removed")
            known = tx.execute(select(signatures.c.number).where(signatures.c.analysis == analysis_id)).all()
            if len(known) >= MOST:
                raise SignatureError(f"this analysis was signed {MOST} times, which is the limit")
            stated = {"analysis": analysis_id, "at": time.time(), **values}
            key = tx.execute(insert(signatures).values(stated)).inserted_primary_key
            number = key[0] if key else 0
            put_signed(tx, analysis_id, number, settings)
            return _read(tx.execute(select(signatures).where(signatures.c.number == number)).one())


def _read(row: Row[Any]) -> StoredSignature:
    values = {field.name: getattr(row, field.name) for field in fields(StoredSignature)}
    return StoredSignature(**{**values, "query": json.loads(row.query), "summary": json.loads(row.summary)})
