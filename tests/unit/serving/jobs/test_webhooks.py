"""Webhooks: which addresses may be called, signatures, and delivery over real sockets to receivers that are slow or drip."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from serving.jobs import webhooks
from serving.jobs.job import WebhookError
from serving.jobs.webhooks import AT_ONCE_OF_HOST, Deliverer, check_webhook, sign
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from serving.store.tables import deliveries
from tests.services import until

SETTINGS = ServerSettings(webhook_hosts=("lims.example", "10.0.0.5:8080"), webhook_secret="x" * 24)


@pytest.mark.parametrize(
    "url",
    ["https://lims.example/hook?a=b", "http://lims.example:9999/", "http://LIMS.example/", "http://10.0.0.5:8080/x"],
)
def test_named_hosts_may_be_called(url: str) -> None:
    assert check_webhook(url, SETTINGS) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5/", "http://10.0.0.5:80/", "http://169.254.169.254/latest", "http://localhost/", "http://[::1]/",
        "ftp://lims.example/", "file:///etc/passwd", "//lims.example/", "lims.example", "http://lims.example@evil.example/",
        "http://user:pass@lims.example/", "http://lims.example.evil.example/", "http://lims.example:port/", "http://[/", "",
    ],
)  # fmt: skip
def test_no_other_address_is_called(url: str) -> None:
    with pytest.raises(WebhookError):
        check_webhook(url, SETTINGS)
    with pytest.raises(WebhookError, match=r"may not call|needs an http|does not parse"):
        check_webhook(url, ServerSettings())


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification's libraries, whose key is base64 behind `whsec_`."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@contextmanager
def receiver(*, drips: bool) -> Iterator[tuple[str, list[str]]]:
    """Host and port of a receiver, and the ids of the messages that have begun to arrive.

    drips : send a header now and then, and never the last; else take each message at once
    """
    got: list[str] = []
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            got.append(head.split(b"webhook-id: ")[1].split(b"\r\n")[0].decode())
            connection.sendall(b"HTTP/1.1 204 No Content\r\n")
            while drips and not over.wait(0.05):
                connection.sendall(b"x-drip: 1\r\n")
            connection.sendall(b"\r\n")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", got
        over.set()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(ServerSettings(state=tmp_path))
    yield made
    made.close()


def put(database: Database, host: str, number: int) -> None:
    values = {"analysis": "a", "body": "{}", "attempts": 0, "next_at": float(number), "state": "waiting", "outcome": ""}
    with database.writing() as tx:
        for n in range(number):
            tx.execute(insert(deliveries).values(values | {"id": f"{host}-{n}", "url": f"http://{host}/told"}))


def outcomes(database: Database, host: str) -> list[str]:
    with database.reading() as tx:
        return [
            str(o) for o in tx.execute(select(deliveries.c.outcome).where(deliveries.c.id.like(f"{host}-%"))).scalars()
        ]


@contextmanager
def delivering(database: Database, *hosts: str) -> Iterator[None]:
    deliverer = Deliverer(database, ServerSettings(webhook_hosts=hosts, webhook_secret="s" * 24))
    deliverer.start()
    try:
        yield
    finally:
        deliverer.stop()


def test_receivers_that_drip_hold_back_no_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_POLL_S", 0.02)
    monkeypatch.setattr(webhooks, "DEADLINE_S", 3.0)
    with receiver(drips=True) as (slow, began), receiver(drips=False) as (quick, taken):
        put(database, slow, 3 * AT_ONCE_OF_HOST)
        put(database, quick, 20)
        with delivering(database, slow, quick):
            until(lambda: len(set(taken)) == 20)
            assert len(set(began)) <= 2 * AT_ONCE_OF_HOST  # the slow host's first are still or again under way
    assert set(outcomes(database, quick)) == {"status 204"}
    assert len(taken) == 20


def test_an_attempt_ends_at_its_deadline_however_much_arrives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_POLL_S", 0.02)
    monkeypatch.setattr(webhooks, "DEADLINE_S", 0.3)
    with receiver(drips=True) as (slow, began):
        put(database, slow, 1)
        with delivering(database, slow):
            until(lambda: outcomes(database, slow) == ["no answer within 0.3 s"])
    assert len(began) == 1
