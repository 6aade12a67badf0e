import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.authenticator import Authenticator, Caller
from serving.access.keys import KeyStore
from serving.access.local_key import FILE, PREFIX, local_key
from serving.access.principal import AuthenticationError
from serving.settings import ServerSettings, SettingsError
from serving.store.database import open_database


def test_it_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    settings = ServerSettings(state=tmp_path / "state")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(local_key, [settings] * 16))
    (key,) = found
    assert key.startswith(PREFIX)
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE]
    (tmp_path / "state" / FILE).unlink()
    assert local_key(settings) != key


@pytest.mark.parametrize("content", ["", "mito_local_", "guess", f"{PREFIX}{'x' * 10}"])
def test_a_file_without_a_key_opens_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(SettingsError, match="delete it"):
        local_key(ServerSettings(state=tmp_path))


def test_a_file_that_others_may_read_or_a_link_is_not_believed(tmp_path: Path) -> None:
    settings = ServerSettings(state=tmp_path)
    local_key(settings)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(SettingsError, match="delete it"):
        local_key(settings)
    os.rename(tmp_path / FILE, tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="MITOSIS_STATE"):
        local_key(settings)


ADDRESSES = st.sampled_from(["127.0.0.1", "::1", "127.9.9.9", "", "10.0.0.7"]) | st.text(max_size=20)
HOSTS = st.sampled_from(["localhost", "127.0.0.1:3000", "[::1]", ""]) | st.text(max_size=20)
ORIGINS = (
    st.none() | st.sampled_from(["http://localhost:3000", "null", "https://elsewhere.example"]) | st.text(max_size=20)
)


def find_shown(callers: st.DataObject) -> Caller:
    return callers.draw(st.builds(Caller, ADDRESSES, HOSTS, st.none(), ORIGINS, st.booleans()))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    return ServerSettings(state=tmp_path_factory.mktemp("door"))


@pytest.fixture(scope="module")
def door(settings: ServerSettings) -> Iterator[Authenticator]:
    database = open_database(settings)
    yield Authenticator(KeyStore(database), None, settings)
    database.close()


@given(data=st.data(), guess=st.none() | st.text(max_size=80))
def test_nothing_but_the_key_shows_the_machines_own_user(
    settings: ServerSettings, door: Authenticator, data: st.DataObject, guess: str | None
) -> None:
    """Whatever addresses and headers a caller has: a proxy on the machine has those of a browser on it."""
    caller = find_shown(data)
    shown = None if guess is None else f"Bearer {guess}"
    for authorization in (shown, shown and shown.replace("Bearer ", ""), f"Bearer {local_key(settings)[:-1]}"):
        with pytest.raises(AuthenticationError, match="keys local"):
            door.admit(Caller(caller.address, caller.host, authorization, caller.origin, caller.forwarded))
