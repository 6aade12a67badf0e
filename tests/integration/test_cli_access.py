"""Keys and the audit log from the command line."""

import json
import os
import pty
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from serving.access.access import open_access
from serving.access.local_key import local_key
from serving.access.principal import ExpiredKeyError
from serving.cli import main
from serving.settings import ServerSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_key_from_its_making_to_its_end(state: Path) -> None:
    made = run("keys", "create", "lab", "--scope", "read", "--disk-quota", "0")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    keys = open_access(ServerSettings(state=state)).keys
    key = keys.find(token)
    assert key is not None
    assert (key.scopes, key.disk_quota_bytes, key.requests_per_minute) == (frozenset({"read"}), 0, 600)
    listed = run("keys", "list").output
    assert "lab" in listed
    assert token not in listed
    assert run("keys", "revoke", key.id).exit_code == 0
    assert keys.find(token) is None
    again = run("keys", "revoke", key.id)
    assert again.exit_code == 1
    assert key.id in again.output


def test_keys_with_an_end_are_listed_with_their_state_and_rotated(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.cli.keys._out", Console(width=200))  # no row is broken into several lines
    old = run("keys", "create", "lab", "--scope", "read", "--expires-in", "90d").stdout.strip()
    assert run("keys", "create", "guest", "--scope", "read", "--expires-on", "2999-12-31").exit_code == 0
    access = open_access(ServerSettings(state=state))
    lab, guest = access.keys.list()
    assert guest.expires_at == "2999-12-31T00:00:00.000000+00:00"
    assert lab.expires_at is not None
    assert (datetime.fromisoformat(lab.expires_at) - datetime.now(UTC)).days == 89
    access.keys.create("former", ["read"], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert run("keys", "revoke", guest.id).exit_code == 0
    listed = run("keys", "list").output
    for name, known in (("lab", "valid"), ("guest", "revoked"), ("former", "expired")):
        assert any(name in line and known in line for line in listed.splitlines())
    rotated = run("keys", "rotate", lab.id, "--overlap", "2h", "--expires-in", "8w")
    assert rotated.exit_code == 0, rotated.output
    assert "the old one opens until" in rotated.stderr
    new = rotated.stdout.strip()
    assert access.keys.find(new) == access.keys.find(old) is not None
    assert run("keys", "rotate", lab.id, "--overlap", "0").exit_code == 0
    with pytest.raises(ExpiredKeyError):
        access.keys.find(new)
    assert run("keys", "rotate", guest.id).exit_code == 1
    actions = [json.loads(line)["action"] for line in run("audit", "show").stdout.splitlines()]
    assert actions == ["keys create", "keys create", "keys revoke", "keys rotate", "keys rotate"]


@pytest.mark.parametrize(
    ("end", "said"),
    [("soon", "write it as"), ("2020-01-01", "not in the future"), ("-1d", "write it as"), ("0d", "not in the future"),
     ("999999d", "write it as"), ("99999w", "write it as"), ("9999-12-31T23:59:59-23:00", "write it as")],
)  # fmt: skip
def test_an_end_that_is_none_is_refused_in_words(state: Path, end: str, said: str) -> None:
    refused = run("keys", "create", "lab", "--scope", "read", "--expires-in", end)
    assert refused.exit_code == 2
    assert said in refused.output
    assert not state.exists()


def test_a_list_in_a_pipe_has_the_whole_id_that_revoke_takes(state: Path) -> None:
    assert run("keys", "create", "a laboratory with a long name", "--scope", "read", "--scope", "score").exit_code == 0
    (key,) = open_access(ServerSettings(state=state)).keys.list()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    listed = subprocess.run(
        [sys.executable, "-m", "serving.cli", "keys", "list"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert key.id in listed.stdout
    assert key.name in listed.stdout


def test_a_port_that_is_taken_is_named_in_a_line(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port))
    assert refused.exit_code == 1
    assert refused.output == (
        f"Error: another program listens on port {port} of 127.0.0.1: stop it, or give another port with --port\n"
    )
    elsewhere = run("serve", "--host", "192.0.2.1")
    assert elsewhere.exit_code == 1
    assert elsewhere.output.startswith("Error: port 3000 of 192.0.2.1 cannot be listened on (")
    assert elsewhere.output.count("\n") == 1


def test_what_is_done_to_keys_is_recorded_and_verified(state: Path) -> None:
    token = run("keys", "create", "lab", "--scope", "admin").stdout.strip()
    shown = run("audit", "show").stdout.splitlines()
    assert [json.loads(line)["action"] for line in shown] == ["keys create"]
    assert token not in "".join(shown)
    verified = run("audit", "verify")
    assert verified.exit_code == 0
    noted = verified.output.split()[-1]
    assert run("audit", "verify", "--known", noted).exit_code == 0
    assert run("audit", "verify", "--known", "f" * 64).exit_code == 1


def test_a_scope_must_be_stated_and_known(state: Path) -> None:
    assert run("keys", "create", "lab").exit_code == 2
    assert run("keys", "create", "lab", "--scope", "root").exit_code == 2
    assert not state.exists()


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "file" / "state"))
    refused = run("keys", "list")
    assert refused.exit_code == 2
    assert "MITOSIS_STATE" in refused.output


def test_the_key_of_the_machine_is_shown_until_there_is_another(state: Path) -> None:
    shown = run("keys", "local")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.strip() == local_key(ServerSettings(state=state))
    assert run("keys", "create", "lab", "--scope", "read").exit_code == 0
    refused = run("keys", "local")
    assert refused.exit_code == 1
    assert "keys create" in refused.output


@pytest.mark.parametrize("on_terminal", [True, False])
def test_serve_says_what_to_open_and_shows_the_key_on_a_terminal_alone(state: Path, *, on_terminal: bool) -> None:
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    command = [sys.executable, "-m", "serving.cli", "serve", "--port", "3999"]
    # It ends as soon as its address is read: nothing has to start for that.
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env={**os.environ, "BENTOML_DO_NOT_TRACK": "true"}
    ) as serving:
        os.close(theirs)
        said = ""
        while "key" not in said or not said.endswith("\n") or (on_terminal and "#key=" not in said):
            said += os.read(ours, 4096).decode()
        serving.kill()
    os.close(ours)
    key = local_key(ServerSettings(state=state))
    assert ("http://127.0.0.1:3999/#key=" + key in said) is on_terminal
    assert (key in said) is on_terminal
    assert "http://127.0.0.1:3999/" in said
