"""Which cascade serves: an append-only list of releases, of which the newest that was promoted counts.

Thresholds of a cascade are chosen for all of its models together, so a release names one version of each.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from serving.registry.version import RegistryError, VersionId, parse_label
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.tables import model_versions, releases

State = Literal["wanted", "promoted", "refused"]
SHOWN = 200
ROLLBACK = "rollback"
"""Why the gates of a release are not asked that goes back to an earlier one: the way back is always open."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of each model of a cascade."""

    number: int
    models: tuple[VersionId, ...]
    state: State
    detail: str
    """Why it was refused."""
    at: float
    """Seconds since 1970."""
    actor: str
    """Id of a principal, or `shell:<user>`."""
    replaces: int | None
    """The release that a rollback goes back to."""
    because: str | None
    """Why its gates are not asked: an operator's words, or `ROLLBACK`; None where they are."""

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Release":
        """The release in a row of the table."""
        models = parse_versions(row.models)
        return cls(row.number, models, row.state, row.detail, row.at, row.actor, row.replaces, row.because)


class ReleaseStore:
    """The releases of one database, and the versions that they may be of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Release | None:
        """The release that serves; None where nothing was promoted yet."""
        with self._database.reading() as tx:
            return current_release(tx)

    def look(self) -> tuple[Release | None, Release | None]:
        """The release that waits to be tried, and the one that serves; None where there is none."""
        with self._database.reading() as tx:
            row = tx.execute(select(releases).where(releases.c.state == "wanted")).first()
            return None if row is None else Release.from_row(row), current_release(tx)

    def get(self, number: int) -> Release:
        """The release of a number; raises `NotFoundError`."""
        with self._database.reading() as tx:
            return _require_release(tx, number)

    def latest(self) -> list[Release]:
        """The latest releases, the newest first."""
        with self._database.reading() as tx:
            rows = tx.execute(select(releases).order_by(releases.c.number.desc()).limit(SHOWN))
            return [Release.from_row(row) for row in rows]

    def served(self) -> list[Release]:
        """The latest releases that have served and may serve again, the newest first; the first is the one that serves."""
        chosen = select(releases).where(releases.c.state == "promoted").order_by(releases.c.number.desc()).limit(SHOWN)
        with self._database.reading() as tx:
            found = [Release.from_row(row) for row in tx.execute(chosen)]
        retired = self.list_retired()
        return [one for one in found if not any((m.name, m.version) in retired for m in one.models)]

    def require_served(self, number: int) -> Release:
        """The release of a number, which has served and may serve again.

        Raises
        ------
        NotFoundError
            If there is none: it was never promoted, or a version of it is retired.
        """
        with self._database.reading() as tx:
            row = tx.execute(
                select(releases).where(releases.c.number == number, releases.c.state == "promoted")
            ).first()
        release = None if row is None else Release.from_row(row)
        retired = self.list_retired()
        if release is None or any((model.name, model.version) in retired for model in release.models):
            raise NotFoundError(f"no release {number} has served here and may serve again; GET /v1/releases lists them")
        return release

    def pin(self, models: tuple[VersionId, ...]) -> None:
        """Make what serves by default a release, so that further versions change nothing; nothing where there is one."""
        with self._database.writing() as tx:
            if current_release(tx) is None:
                _append(tx, models, state="promoted", actor="default", replaces=None, because=None)

    def want(
        self,
        models: tuple[VersionId, ...],
        actor: str,
        *,
        state: State = "wanted",
        because: str | None = None,
        detail: str = "",
    ) -> Release:
        """A new release, to be tried by those who serve, or, where it was tried already, promoted at once.

        One that still waits is given up for it.

        because : why its gates are not asked, if they shall not be. detail : what should be known of it, e.g. a warning

        Raises
        ------
        RegistryError
            If one of the versions is retired, or has changed since it was first used.
        """
        with self._database.writing() as tx:
            current = current_release(tx)
            replaces = None if current is None else current.number
            return _append(tx, models, state=state, actor=actor, replaces=replaces, because=because, detail=detail)

    def former(self) -> Release:
        """The release that the current one replaced; raises `RegistryError` where there is none."""
        with self._database.reading() as tx:
            return _former(tx)

    def back(self, actor: str, *, state: State = "wanted") -> Release:
        """A new release of the models that the current one replaced; a second time it goes back one more.

        Raises
        ------
        RegistryError
            If there is none to go back to, or one of its versions is retired.
        """
        with self._database.writing() as tx:
            former = _former(tx)
            return _append(tx, former.models, state=state, actor=actor, replaces=former.replaces, because=ROLLBACK)

    def settle(self, number: int, refused: str | None = None) -> bool:
        """End the trial of a release: promoted, or refused for a reason; False where it was settled or given up already."""
        values = {"state": "promoted"} if refused is None else {"state": "refused", "detail": refused}
        with self._database.writing() as tx:
            same = (releases.c.number == number) & (releases.c.state == "wanted")
            return bool(tx.execute(update(releases).where(same).values(values)).rowcount)

    def retire(self, version: VersionId) -> None:
        """Let a version never serve again; its files stay, for what it said before.

        Raises
        ------
        RegistryError
            If it serves, or waits to.
        """
        with self._database.writing() as tx:
            check_versions(tx, (version,))
            busy = select(releases).where(releases.c.state == "wanted")
            used = [current_release(tx), *(Release.from_row(row) for row in tx.execute(busy))]
            if any(release is not None and version in release.models for release in used):
                raise RegistryError(f"{version.label} serves or is about to; promote another version first")
            same = (model_versions.c.name == version.name) & (model_versions.c.version == version.version)
            tx.execute(update(model_versions).where(same).values(retired_at=time.time()))

    def note(self, version: VersionId) -> None:
        """Remember what a version is, so that a change is noticed; raises `RegistryError` where it has changed."""
        with self._database.writing() as tx:
            check_versions(tx, (version,), retired=True)

    def list_retired(self) -> set[tuple[str, str]]:
        """Name and version of all that are retired."""
        chosen = select(model_versions.c.name, model_versions.c.version).where(model_versions.c.retired_at.is_not(None))
        with self._database.reading() as tx:
            return {(row.name, row.version) for row in tx.execute(chosen)}


def current_release(tx: Connection) -> Release | None:
    """The release that serves; None where nothing was promoted yet."""
    chosen = select(releases).where(releases.c.state == "promoted").order_by(releases.c.number.desc()).limit(1)
    row = tx.execute(chosen).first()
    return None if row is None else Release.from_row(row)


def _former(tx: Connection) -> Release:
    current = current_release(tx)
    if current is None or current.replaces is None:
        raise RegistryError("there is no earlier release to go back to; promote a version by its name")
    return _require_release(tx, current.replaces)


def _require_release(tx: Connection, number: int) -> Release:
    row = tx.execute(select(releases).where(releases.c.number == number)).first()
    if row is None:
        raise NotFoundError(f"there is no release {number}; GET /v1/registry/releases lists them")
    return Release.from_row(row)


def _append(
    tx: Connection,
    models: tuple[VersionId, ...],
    *,
    state: State,
    actor: str,
    replaces: int | None,
    because: str | None,
    detail: str = "",
) -> Release:
    check_versions(tx, models)
    waiting = update(releases).where(releases.c.state == "wanted")
    tx.execute(waiting.values(state="refused", detail="another release was asked for before this one was tried"))
    values = {"models": versions_text(models), "state": state, "detail": detail, "at": time.time(), "actor": actor}
    values |= {"replaces": replaces, "because": because}
    key = tx.execute(insert(releases).values(values)).inserted_primary_key
    return _require_release(tx, key[0] if key else 0)


def versions_text(models: tuple[VersionId, ...]) -> str:
    """The versions of a cascade as they are kept."""
    return json.dumps({version.label: version.digest for version in models})


def parse_versions(text: str) -> tuple[VersionId, ...]:
    """What `versions_text` wrote."""
    return tuple(VersionId(*parse_label(label), digest) for label, digest in json.loads(text).items())


def check_versions(tx: Connection, models: tuple[VersionId, ...], *, retired: bool = False) -> None:
    """Make sure that versions are what they were when they were first used, and, unless `retired`, may serve.

    Raises
    ------
    RegistryError
        If one is not or may not.
    """
    for version in models:
        same = (model_versions.c.name == version.name) & (model_versions.c.version == version.version)
        row = tx.execute(select(model_versions).where(same)).first()
        if row is None:
            values = {"name": version.name, "version": version.version, "digest": version.digest}
            tx.execute(insert(model_versions).values(values))
        elif row.digest != version.digest:
            raise RegistryError(
                f"{version.label} is not what it was: its card had SHA-256 {row.digest[:12]}..., now {version.digest[:12]}...; "
                "restore it, or publish the change under another number"
            )
        elif row.retired_at is not None and not retired:
            raise RegistryError(f"{version.label} is retired; promote another version")
