import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from serving.access.keys import KeyStore
from serving.access.principal import ExpiredKeyError, NoSuchKeyError
from serving.core.errors import BusyError
from serving.settings import ServerSettings
from serving.store.database import FILE, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE


@pytest.fixture
def keys(path: Path) -> KeyStore:
    return KeyStore(open_database(ServerSettings(state=path.parent)))


def test_a_key_is_found_by_its_token_alone(keys: KeyStore) -> None:
    token, key = keys.create("lab", ["score"], requests_per_minute=5, disk_quota_bytes=7)
    other, _ = keys.create("other", ["read"])
    assert token.startswith(f"mito_{key.id}_")
    assert keys.find(token) == key
    assert (key.principal.requests_per_minute, key.principal.disk_quota_bytes) == (5, 7)
    mixed = f"mito_{key.id}_{other.split('_', 2)[2]}"
    for wrong in (mixed, token[:-1], token + "x", "", "mito", "mito__", f"mito_{key.id}_", key.id, token.upper()):
        assert keys.find(wrong) is None


def test_no_token_is_on_disk(keys: KeyStore, path: Path) -> None:
    token, _ = keys.create("lab", ["admin"])
    with sqlite3.connect(path) as connection:
        kept = "\n".join(connection.iterdump())
    assert token not in kept
    assert token.split("_", 2)[2] not in kept
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_revoked_key_opens_nothing_at_once(keys: KeyStore) -> None:
    token, key = keys.create("lab", ["read"])
    keys.revoke(key.id)
    assert keys.find(token) is None
    assert keys.list()[0].revoked_at is not None
    assert keys.exist()
    with pytest.raises(NoSuchKeyError, match=key.id):
        keys.revoke(key.id)


def test_keys_outlive_the_process(keys: KeyStore, path: Path) -> None:
    token, key = keys.create("lab", ["read", "score"])
    assert KeyStore(open_database(ServerSettings(state=path.parent))).find(token) == key


def test_a_database_that_does_not_answer_lets_nobody_in(keys: KeyStore, path: Path) -> None:
    token, _ = keys.create("lab", ["read"])
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE access_keys")
    with pytest.raises(BusyError, match="try again"):
        keys.find(token)
    with pytest.raises(BusyError):
        keys.exist()


def test_no_two_tokens_are_equal(keys: KeyStore) -> None:
    assert len({keys.create("lab", ["read"])[0] for _ in range(50)}) == 50


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(path: Path, clock: Clock) -> KeyStore:
    return KeyStore(open_database(ServerSettings(state=path.parent)), now=clock)


def test_a_key_opens_until_its_end_and_then_says_when_that_was(timed: KeyStore, clock: Clock) -> None:
    token, key = timed.create("lab", ["read"], expires_at=clock.time + timedelta(days=90))
    clock.time += timedelta(days=90, microseconds=-1)
    assert timed.find(token) == key
    assert key.state(clock.time) == "valid"
    clock.time += timedelta(microseconds=1)
    with pytest.raises(ExpiredKeyError, match="expired on 2030-04-01T00:00:00 UTC"):
        timed.find(token)
    assert timed.list()[0].state(clock.time) == "expired"
    assert timed.find(token + "x") is None, "who does not hold the key is not told that it has expired"
    timed.revoke(key.id)
    assert timed.find(token) is None
    assert timed.list()[0].state(clock.time) == "revoked"


def test_ends_of_other_time_zones_are_the_same_moment(timed: KeyStore, clock: Clock) -> None:
    zone = timezone(timedelta(hours=5))
    token, _ = timed.create("lab", ["read"], expires_at=datetime(2030, 1, 1, 6, tzinfo=zone))
    clock.time += timedelta(minutes=59)
    assert timed.find(token) is not None
    clock.time += timedelta(minutes=1)
    with pytest.raises(ExpiredKeyError):
        timed.find(token)


def test_a_rotated_key_is_the_same_owners_and_the_old_one_ends_after_the_overlap(timed: KeyStore, clock: Clock) -> None:
    old, before = timed.create("lab", ["score"], requests_per_minute=5, disk_quota_bytes=7)
    new, after = timed.rotate(before.id, overlap=timedelta(hours=1))
    assert new != old
    assert after.principal == before.principal
    assert timed.find(old) == timed.find(new) == after
    clock.time += timedelta(hours=1)
    assert timed.find(new) == after
    with pytest.raises(ExpiredKeyError, match="replaced by a newer one, and ended on 2030-01-01T01:00:00 UTC"):
        timed.find(old)
    newest, _ = timed.rotate(before.id, overlap=timedelta(hours=1))
    assert timed.find(old) is None
    assert timed.find(new) == timed.find(newest)
    timed.revoke(before.id)
    assert timed.find(new) is timed.find(newest) is None
    with pytest.raises(NoSuchKeyError, match=before.id):
        timed.rotate(before.id, overlap=timedelta())


def test_without_an_overlap_the_old_key_ends_at_once(timed: KeyStore) -> None:
    old, key = timed.create("lab", ["read"])
    timed.rotate(key.id, overlap=timedelta())
    with pytest.raises(ExpiredKeyError):
        timed.find(old)


def test_rotation_lengthens_no_old_key(timed: KeyStore, clock: Clock) -> None:
    old, key = timed.create("lab", ["read"], expires_at=clock.time + timedelta(hours=1))
    new, kept = timed.rotate(key.id, overlap=timedelta(days=7))
    assert kept.expires_at == key.expires_at, "the end stays, unless another is given"
    clock.time += timedelta(hours=2)
    for token in (old, new):
        with pytest.raises(ExpiredKeyError):
            timed.find(token)
    with pytest.raises(ExpiredKeyError, match="a later end"):
        timed.rotate(key.id, overlap=timedelta())
    renewed, _ = timed.rotate(key.id, overlap=timedelta(days=7), expires_at=clock.time + timedelta(days=90))
    assert timed.find(renewed) is not None
    with pytest.raises(ExpiredKeyError):
        timed.find(new)
    _, short = timed.rotate(key.id, overlap=timedelta(days=7), expires_at=clock.time + timedelta(days=1))
    assert short.former_until == short.expires_at


def test_no_rotated_key_is_on_disk(timed: KeyStore, path: Path) -> None:
    _, key = timed.create("lab", ["admin"])
    token, _ = timed.rotate(key.id, overlap=timedelta(hours=1))
    with sqlite3.connect(path) as connection:
        assert token.split("_", 2)[2] not in "\n".join(connection.iterdump())
