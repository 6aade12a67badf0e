"""Who waits for a server is told so, and a wrong address is not waited for."""

import asyncio
import re
import socket
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from serving.cli import main
from serving.client import AsyncClient, Client, ClientError, ConnectionLostError
from serving.client.effects import ATTEMPTS


@pytest.fixture
def address() -> str:
    """Where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_each_new_try_is_told_with_its_reason(address: str) -> None:
    told: list[tuple[str, float]] = []
    with Client(address, on_retry=lambda *why: told.append(why)) as client, pytest.raises(ConnectionLostError):
        client.look("a")
    assert len(told) == ATTEMPTS - 1
    assert all(reason.startswith("ConnectError") and seconds > 0 for reason, seconds in told)


def test_an_answer_that_asks_to_wait_is_told_with_what_it_asks() -> None:
    told: list[tuple[str, float]] = []
    answers = [httpx.Response(503, headers={"Retry-After": "0"}), httpx.Response(404)]

    async def look() -> None:
        transport = httpx.MockTransport(lambda _: answers.pop(0))
        async with AsyncClient("http://lab", on_retry=lambda *why: told.append(why), transport=transport) as client:
            await client.look("a")

    with pytest.raises(ClientError):
        asyncio.run(look())
    assert told == [("it answers 503 Service Unavailable", 0)]


@pytest.mark.parametrize("server", ["localhost:3000", "ftp://lab", "lab", "", "http://", "http://lab:port"])
def test_what_is_no_address_is_refused_at_once(server: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ClientError, match="address of a server"):
            kind(server)


def test_score_says_where_it_tries_again(address: str, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"slide")
    done = CliRunner().invoke(
        main, ["score", str(tmp_path / "a.svs"), "--out", str(tmp_path / "out"), "--server", address]
    )
    assert done.exit_code == 1
    assert len(re.findall(f"waiting {address}: ConnectError .*; next try in [0-9]+ s", done.output)) == ATTEMPTS - 1
    assert "the server cannot be reached" in done.output
    wrong = CliRunner().invoke(main, ["score", str(tmp_path / "a.svs"), "--out", "out", "--server", "localhost:3000"])
    assert wrong.exit_code == 2
    assert "write it as http://localhost:3000" in wrong.output
