"""Who did what, when: a log that only grows, each record holding the hash of the one before it.

Changing, removing or reordering a record breaks the chain from there on. That the newest records were cut off shows only
against a hash that was noted elsewhere: `mitoserve audit verify` prints the newest, and takes an earlier one to look for.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError

from serving.access.principal import AuditError
from serving.core.errors import BusyError
from serving.store import tables
from serving.store.database import Database

START = "0" * 64
"""What stands in place of a previous hash in the first record."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done or refused."""

    actor: str
    """Id of a principal, or `anonymous`."""

    action: str
    """A method and a route's template, or a command; never what a caller wrote."""

    outcome: str
    """An HTTP status, or `done`."""

    subject: str = ""
    """Id of the thing that was acted on, never its name; with an operator's reason where something was forced."""

    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditRecord(AuditEntry):
    """An entry with its place in the chain."""

    sequence: int = 0
    at: str = ""
    previous: str = START
    hash: str = ""

    def compute_hash(self) -> str:
        """SHA-256 of every other field, as JSON with sorted keys."""
        fields = {name: value for name, value in asdict(self).items() if name != "hash"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class AuditLog:
    """The audit log of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: AuditEntry) -> AuditRecord:
        """`entry` as the newest record, on disk.

        Raises
        ------
        AuditError
            If the database cannot be written.
        """
        newest = select(tables.audit.c.sequence, tables.audit.c.hash).order_by(tables.audit.c.sequence.desc()).limit(1)
        try:
            with self._database.writing() as tx:
                sequence, previous = tx.execute(newest).one_or_none() or (0, START)
                at = datetime.now(UTC).isoformat(timespec="microseconds")
                record = AuditRecord(**asdict(entry), sequence=sequence + 1, at=at, previous=previous)
                record = replace(record, hash=record.compute_hash())
                tx.execute(insert(tables.audit).values(**asdict(record)))
        except (BusyError, OSError, SQLAlchemyError) as error:
            raise AuditError(f"the audit log cannot be written ({type(error).__name__})") from error
        return record

    def records(self) -> Iterator[AuditRecord]:
        """Every record, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(
                select(tables.audit).order_by(tables.audit.c.sequence)
            )
            for row in rows.mappings():
                yield AuditRecord(**row)

    def verify(self, *, known: str | None = None) -> tuple[int, str]:
        """How many records there are and the hash of the newest, after the whole chain was computed again.

        known : a hash that was noted earlier and must be in the chain

        Raises
        ------
        AuditError
            If a record was changed, removed or put in, or `known` is missing; the message names the first bad record.
        """
        count, previous, found = 0, START, known is None or known == START
        for record in self.records():
            count += 1
            if (record.sequence, record.previous, record.hash) != (count, previous, record.compute_hash()):
                raise AuditError(f"the audit log was tampered with at record {count}")
            previous = record.hash
            found = found or previous == known
        if not found:
            raise AuditError(f"no record has the hash {known}: the log was cut off and written anew, or is another's")
        return count, previous
