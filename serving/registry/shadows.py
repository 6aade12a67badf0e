"""Candidates that repeat a share of analyses beside the release that serves, before anything counts.

A shadow is a cascade like a release. At most one runs; what it gathers is in the table of analyses, apart from everybody's own.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from serving.core.errors import RequestError
from serving.registry.releases import SHOWN, check_versions, current_release, parse_versions, versions_text
from serving.registry.version import RegistryError, VersionId
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.tables import analyses, shadows

State = Literal["running", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Shadow:
    """A candidate and the share of analyses that it repeats."""

    number: int
    models: tuple[VersionId, ...]
    share: float
    state: State
    detail: str
    """Why it could not go on, or cannot at the moment."""
    at: float
    """Seconds since 1970."""
    actor: str
    """Id of a principal, or `shell:<user>`."""
    ended_at: float | None

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Shadow":
        """The shadow in a row of the table."""
        models = parse_versions(row.models)
        return cls(row.number, models, row.share, row.state, row.detail, row.at, row.actor, row.ended_at)

    def repeats(self, analysis_id: str) -> bool:
        """Whether it repeats an analysis: decided by the id alone, and a larger share holds all of a smaller one."""
        place = int.from_bytes(hashlib.sha256(analysis_id.encode()).digest()[:8], "big") / 2**64
        return place < self.share


class ShadowStore:
    """The shadows of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def running(self) -> Shadow | None:
        """The shadow that runs; None too while its models are those that serve."""
        with self._database.reading() as tx:
            return running_shadow(tx)

    def get(self, number: int) -> Shadow:
        """The shadow of a number; raises `NotFoundError`."""
        with self._database.reading() as tx:
            return _require_shadow(tx, number)

    def latest(self) -> list[Shadow]:
        """The latest shadows, the newest first."""
        with self._database.reading() as tx:
            rows = tx.execute(select(shadows).order_by(shadows.c.number.desc()).limit(SHOWN))
            return [Shadow.from_row(row) for row in rows]

    def start(self, models: tuple[VersionId, ...], share: float, actor: str) -> Shadow:
        """A new shadow; one that runs is stopped for it.

        Raises
        ------
        RequestError
            If the share is not above 0 and at most 1.
        RegistryError
            If the models serve already, or one of them is retired or has changed since it was first used.
        """
        if not 0 < share <= 1:
            raise RequestError(f"share is {share:g}; give the share of analyses to repeat, above 0 and at most 1")
        with self._database.writing() as tx:
            current = current_release(tx)
            if current is not None and current.models == models:
                raise RegistryError("these models serve already; a shadow compares others with them")
            check_versions(tx, models)
            for row in tx.execute(select(shadows.c.number).where(shadows.c.state == "running")).all():
                end_shadow(tx, row.number, "stopped", "another shadow was started")
            values = {"models": versions_text(models), "share": share, "state": "running", "detail": ""}
            key = tx.execute(insert(shadows).values(values | {"at": time.time(), "actor": actor})).inserted_primary_key
            return _require_shadow(tx, key[0] if key else 0)

    def stop(self, number: int, *, failed: str | None = None) -> Shadow:
        """The shadow, ended; what it has gathered stays. What waited for it is forgotten.

        failed : why it cannot go on, where that is the reason

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with self._database.writing() as tx:
            if _require_shadow(tx, number).state == "running":
                end_shadow(tx, number, "stopped" if failed is None else "failed", failed or "")
            return _require_shadow(tx, number)

    def note(self, number: int, detail: str) -> None:
        """Say why a shadow cannot go on at the moment; empty once it can."""
        with self._database.writing() as tx:
            tx.execute(update(shadows).where(shadows.c.number == number).values(detail=detail))


def running_shadow(tx: Connection) -> Shadow | None:
    """See `ShadowStore.running`."""
    row = tx.execute(select(shadows).where(shadows.c.state == "running")).first()
    if row is None:
        return None
    shadow, current = Shadow.from_row(row), current_release(tx)
    return None if current is not None and current.models == shadow.models else shadow


def is_running(tx: Connection, number: int) -> bool:
    """Whether a shadow has not ended, also while its models serve."""
    same = (shadows.c.number == number) & (shadows.c.state == "running")
    return tx.execute(select(shadows.c.number).where(same)).first() is not None


def end_shadow(tx: Connection, number: int, state: State, detail: str) -> None:
    """End a shadow: what waits for it is forgotten."""
    values = {"state": state, "detail": detail, "ended_at": time.time()}
    tx.execute(update(shadows).where(shadows.c.number == number).values(values))
    # What runs gives way by itself once its shadow has ended.
    tx.execute(delete(analyses).where(analyses.c.shadow == number, analyses.c.state == "queued"))


def _require_shadow(tx: Connection, number: int) -> Shadow:
    row = tx.execute(select(shadows).where(shadows.c.number == number)).first()
    if row is None:
        raise NotFoundError(f"there is no shadow {number}; GET /v1/registry/shadows lists them")
    return Shadow.from_row(row)
