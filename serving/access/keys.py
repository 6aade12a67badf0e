"""API keys: random, shown once, kept as hashes, with an end if one is stated."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Row, func, insert, select, update

from serving.access.principal import SCOPES, ExpiredKeyError, NoSuchKeyError, Principal, Scope
from serving.store import tables
from serving.store.database import Database

PREFIX = "mito"
"""Every key starts with it, so that scanners for leaked secrets can find one."""

State = Literal["valid", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; not the key."""

    id: str
    name: str
    scopes: frozenset[Scope]
    requests_per_minute: int | None
    disk_quota_bytes: int | None
    created_at: str
    """UTC, ISO 8601, as every time here."""
    revoked_at: str | None = None
    expires_at: str | None = None
    """None: never."""
    former_until: str | None = None
    """Until when the key before the last rotation holds; None: it was never rotated."""

    def state(self, at: datetime) -> State:
        """What the key is at a moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if _is_past(self.expires_at, at) else "valid"

    @property
    def principal(self) -> Principal:
        """Who calls with this key."""
        return Principal(f"key:{self.id}", self.scopes, self.requests_per_minute, self.disk_quota_bytes, self.name)


class KeyStore:
    """The keys of one server."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` : the time, with its zone."""
        self._database, self._now = database, now

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        requests_per_minute: int | None = None,
        disk_quota_bytes: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[str, Key]:
        """A new key as its holder sends it, which cannot be shown again, and what is kept of it.

        expires_at : from when on it opens nothing, with its zone; None: never
        """
        key_id = secrets.token_hex(6)
        token = _token(key_id)
        made, end = _text(self._now()), None if expires_at is None else _text(expires_at)
        key = Key(
            key_id, name, frozenset(scopes), requests_per_minute, disk_quota_bytes, created_at=made, expires_at=end
        )
        row = {
            "id": key_id,
            "sha256": _digest(token),
            "name": name,
            "scopes": ",".join(scope for scope in SCOPES if scope in key.scopes),
            "requests_per_minute": requests_per_minute,
            "disk_quota_bytes": disk_quota_bytes,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        with self._database.writing() as connection:
            connection.execute(insert(tables.keys).values(row))
        return token, key

    def list(self) -> list[Key]:
        """Every key, revoked and expired ones too, oldest first."""
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
            changed = connection.execute(update(tables.keys).where(holds).values(revoked_at=_text(self._now())))
        if changed.rowcount == 0:
            raise _no_such(key_id)

    def rotate(self, key_id: str, *, overlap: timedelta, expires_at: datetime | None = None) -> tuple[str, Key]:
        """A new key in place of an old one, with the same id, so that what the old one owns stays the holder's.

        overlap : for how long the old one opens still, never beyond its own end or the new one's. One that was rotated before
            opens nothing any more.
        expires_at : of the new one; None: the end stays as it was

        Raises
        ------
        NoSuchKeyError
            If no key that still holds has this id.
        ExpiredKeyError
            If the key has expired and no later end is given.
        """
        now, token = self._now(), _token(key_id)
        with self._database.writing() as connection:
            row = connection.execute(select(tables.keys).where(tables.keys.c.id == key_id)).one_or_none()
            if row is None or row.revoked_at is not None:
                raise _no_such(key_id)
            end = row.expires_at if expires_at is None else _text(expires_at)
            if _is_past(end, now):
                raise ExpiredKeyError(f"key {key_id} expired on {end[:19]} UTC; give the new one a later end")
            ends = (_text(now + overlap), row.expires_at, end)
            changed = {
                "sha256": _digest(token),
                "expires_at": end,
                "former_sha256": row.sha256,
                "former_until": min(end for end in ends if end is not None),
            }
            connection.execute(update(tables.keys).where(tables.keys.c.id == key_id).values(changed))
            row = connection.execute(select(tables.keys).where(tables.keys.c.id == key_id)).one()
        return token, _key(row)

    def find(self, token: str) -> Key | None:
        """The key that `token` is, unless it was revoked.

        Raises
        ------
        ExpiredKeyError
            If its time is over, or that of a rotated key's former one.
        BusyError
            If the database does not answer.
        """
        parts = token.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:
            return None
        with self._database.reading() as connection:
            row = connection.execute(select(tables.keys).where(tables.keys.c.id == parts[1])).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        # A key has 256 random bits, so one round of SHA-256 is enough; slow hashes are for passwords.
        digest, now = _digest(token), self._now()
        if hmac.compare_digest(row.sha256, digest):
            if _is_past(row.expires_at, now):
                raise ExpiredKeyError(f"the key expired on {row.expires_at[:19]} UTC")
            return _key(row)
        if row.former_sha256 is not None and hmac.compare_digest(row.former_sha256, digest):
            if _is_past(row.former_until, now):
                raise ExpiredKeyError(f"the key was replaced by a newer one, and ended on {row.former_until[:19]} UTC")
            return _key(row)
        return None

    def exist(self) -> bool:
        """Whether a key was ever made; a revoked one counts, so that revoking the last never opens the server.

        Raises
        ------
        BusyError
            If the database does not answer.
        """
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(tables.keys)).scalar_one() > 0


def _token(key_id: str) -> str:
    return f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _text(moment: datetime) -> str:
    """As it is kept; texts follow each other as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _is_past(end: str | None, now: datetime) -> bool:
    return end is not None and end <= _text(now)


def _no_such(key_id: str) -> NoSuchKeyError:
    return NoSuchKeyError(f"no key that still holds has the id {key_id[:40]!r}; `mitoserve keys list` shows them")


def _key(row: "Row[tuple[object, ...]]") -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(scope for scope in SCOPES if scope in row.scopes.split(",")),
        requests_per_minute=row.requests_per_minute,
        disk_quota_bytes=row.disk_quota_bytes,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        former_until=row.former_until,
    )
