import sqlite3
from pathlib import Path

import pytest

from serving.access.errors import NoSuchKeyError
from serving.access.keys import KeyStore
from serving.settings import Settings
from serving.store.database import FILE, open_database
from serving.wsi.errors import BusyError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE


@pytest.fixture
def keys(path: Path) -> KeyStore:
    return KeyStore(open_database(Settings(state=path.parent)))


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
    assert KeyStore(open_database(Settings(state=path.parent))).find(token) == key


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
