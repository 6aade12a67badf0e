"""API keys: random, shown once, kept as hashes."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, func, insert, select, update

from serving.access.errors import NoSuchKeyError
from serving.access.principal import SCOPES, Principal, Scope
from serving.store import tables
from serving.store.database import Database

PREFIX = "mito"
"""Every key starts with it, so that scanners for leaked secrets can find one."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; not the key."""

    id: str
    name: str
    scopes: frozenset[Scope]
    requests_per_minute: int | None
    disk_quota_bytes: int | None
    created_at: str
    revoked_at: str | None

    @property
    def principal(self) -> Principal:
        """Who calls with this key."""
        return Principal(f"key:{self.id}", self.scopes, self.requests_per_minute, self.disk_quota_bytes)


class KeyStore:
    """The keys of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        requests_per_minute: int | None = None,
        disk_quota_bytes: int | None = None,
    ) -> tuple[str, Key]:
        """A new key as its holder sends it, which cannot be shown again, and what is kept of it."""
        key_id = secrets.token_hex(6)
        token = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        key = Key(key_id, name, frozenset(scopes), requests_per_minute, disk_quota_bytes, _now(), None)
        row = {
            "id": key_id,
            "sha256": _digest(token),
            "name": name,
            "scopes": ",".join(scope for scope in SCOPES if scope in key.scopes),
            "requests_per_minute": requests_per_minute,
            "disk_quota_bytes": disk_quota_bytes,
            "created_at": key.created_at,
        }
        with self._database.writing() as connection:
            connection.execute(insert(tables.keys).values(row))
        return token, key

    def list(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(select(tables.keys).order_by(tables.keys.c.created_at))]

    def revoke(self, key_id: str) -> None:
        """From now on the key opens nothing; what it owns stays.

        Raises
        ------
        NoSuchKeyError
            If no key that still holds has this id.
        """
        holds = (tables.keys.c.id == key_id) & tables.keys.c.revoked_at.is_(None)
        with self._database.writing() as connection:
            changed = connection.execute(update(tables.keys).where(holds).values(revoked_at=_now()))
        if changed.rowcount == 0:
            raise NoSuchKeyError(
                f"no key that still holds has the id {key_id[:40]!r}; `mitoserve keys list` shows them"
            )

    def find(self, token: str) -> Key | None:
        """The key that `token` is, unless it was revoked.

        Raises
        ------
        BusyError
            If the database does not answer.
        """
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:
            return None
        with self._database.reading() as connection:
            row = connection.execute(select(tables.keys).where(tables.keys.c.id == parts[1])).one_or_none()
        # A key has 256 random bits, so one round of SHA-256 is enough; slow hashes are for passwords.
        if row is None or not hmac.compare_digest(row.sha256, _digest(token)) or row.revoked_at is not None:
            return None
        return _key(row)

    def exist(self) -> bool:
        """Whether a key was ever made; a revoked one counts, so that revoking the last never opens the server.

        Raises
        ------
        BusyError
            If the database does not answer.
        """
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(tables.keys)).scalar_one() > 0


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _key(row: "Row[tuple[object, ...]]") -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(scope for scope in SCOPES if scope in row.scopes.split(",")),
        requests_per_minute=row.requests_per_minute,
        disk_quota_bytes=row.disk_quota_bytes,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
