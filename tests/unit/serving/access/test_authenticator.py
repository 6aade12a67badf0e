import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from serving.access.authenticator import (
    FAILURES_PER_MINUTE,
    REMEMBER_S,
    Authenticator,
    Caller,
    check_binding,
    is_loopback,
)
from serving.access.keys import KeyStore
from serving.access.local_key import local_key
from serving.access.principal import LOCAL, AuthenticationError, TooManyRequestsError
from serving.settings import ServerSettings, SettingsError
from serving.store.database import open_database

HERE = Caller(address="127.0.0.1", host="localhost:3000")
"""Someone on the machine, who has shown nothing yet."""


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(open_database(ServerSettings(state=tmp_path)))


@pytest.fixture
def door(keys: KeyStore) -> Authenticator:
    return Authenticator(keys, None, _settings())


def _settings(*, loopback_without_key: Literal["on", "off"] = "off") -> ServerSettings:
    return ServerSettings(cors_origins=("https://viewer.example",), loopback_without_key=loopback_without_key)


def own(caller: Caller) -> Caller:
    """The caller with the key of the machine."""
    return replace(caller, authorization=f"Bearer {local_key(_settings())}")


def bearer(token: str, address: str = "10.0.0.7") -> Caller:
    return Caller(address=address, host="mitoserve.example", authorization=f"Bearer {token}")


@pytest.mark.parametrize(
    "caller",
    [
        HERE,
        Caller("::1", "[::1]:3000"),
        Caller("127.0.0.1", "127.0.0.1"),
        replace(HERE, origin="http://localhost:8080"),
        replace(HERE, origin="https://viewer.example"),
    ],
)
def test_the_own_machine_shows_its_own_key(door: Authenticator, keys: KeyStore, caller: Caller) -> None:
    with pytest.raises(AuthenticationError, match="keys local"):
        door.admit(caller)
    assert door.admit(own(caller)) is LOCAL
    assert door.recall(own(caller)) is None
    assert Authenticator(keys, None, _settings(loopback_without_key="on")).admit(caller) is LOCAL


@pytest.mark.parametrize(
    "caller",
    [
        replace(HERE, address="10.0.0.7"),
        replace(HERE, address=""),
        replace(HERE, forwarded=True),
        replace(HERE, host="rebound.example"),
        replace(HERE, host=""),
        replace(HERE, host="[::1"),
        replace(HERE, host="localhost.example"),
        replace(HERE, origin="https://elsewhere.example"),
        replace(HERE, origin="null"),
    ],
)
def test_nobody_else_comes_in_without_a_key(door: Authenticator, keys: KeyStore, caller: Caller) -> None:
    """Not even with the machine's own, which is not for others and their pages."""
    for shown in (caller, own(caller)):
        with pytest.raises(AuthenticationError):
            door.admit(shown)
    with pytest.raises(AuthenticationError):
        Authenticator(keys, None, _settings(loopback_without_key="on")).admit(caller)


def test_once_there_are_keys_everybody_shows_one(door: Authenticator, keys: KeyStore) -> None:
    token, key = keys.create("lab", ["read"])
    with pytest.raises(AuthenticationError, match="keys create"):
        door.admit(HERE)
    assert door.admit(bearer(token)) == key.principal
    keys.revoke(key.id)
    for caller in (HERE, own(HERE), bearer(token)):
        with pytest.raises(AuthenticationError):
            door.admit(caller)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer mito_x_y", "mito_x_y", "Bearer a.b.c"]
)
def test_other_headers_open_nothing(door: Authenticator, keys: KeyStore, header: str) -> None:
    keys.create("lab", ["read"])
    with pytest.raises(AuthenticationError):
        door.admit(replace(HERE, authorization=header))


def test_a_rate_is_kept(door: Authenticator, keys: KeyStore) -> None:
    fast, _ = keys.create("fast", ["read"])
    slow, _ = keys.create("slow", ["read"], requests_per_minute=3)
    for _ in range(3):
        door.admit(bearer(slow))
    with pytest.raises(TooManyRequestsError) as refusal:
        door.admit(bearer(slow))
    assert 0 < refusal.value.wait_s <= 20
    assert door.admit(bearer(fast)).id.startswith("key:")


def test_guessing_is_slowed_down_and_disturbs_no_one(door: Authenticator, keys: KeyStore) -> None:
    token, key = keys.create("lab", ["read"])
    for _ in range(FAILURES_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            door.admit(bearer("mito_x_y"))
    with pytest.raises(TooManyRequestsError):
        door.admit(bearer("mito_x_y"))
    assert door.admit(bearer(token)) == key.principal


def test_good_credentials_are_remembered_for_a_moment_and_counted(
    door: Authenticator, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, key = keys.create("lab", ["read"], requests_per_minute=3)
    assert door.recall(bearer(token)) is None
    door.admit(bearer(token))
    keys.revoke(key.id)
    assert door.recall(bearer(token)) == key.principal
    assert door.recall(bearer(f"{token}x")) is None
    assert door.recall(replace(bearer(token), authorization=None)) is None
    door.recall(bearer(token))
    with pytest.raises(TooManyRequestsError):
        door.recall(bearer(token))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + REMEMBER_S + 0.1)
    assert door.recall(bearer(token)) is None
    with pytest.raises(AuthenticationError):
        door.admit(bearer(token))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("LOCALHOST", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("host.example", False), ("", False),
    ],
)  # fmt: skip
def test_only_loopback_is_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    check_binding(host, locked=True)
    if loopback:
        check_binding(host, locked=False)
    else:
        with pytest.raises(SettingsError, match="keys create"):
            check_binding(host, locked=False)
