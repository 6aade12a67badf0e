"""A real server: whom it starts for, TLS, and callers who mean it harm."""

import datetime
import ipaddress
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.clients import bearer
from tests.e2e.processes import ROOT, free_port, serve, server_environment
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.e2e


def test_a_server_does_not_start_open_to_others(tmp_path: Path) -> None:
    """The command becomes `bentoml serve`, which refuses."""
    ended = subprocess.run(
        [sys.executable, "-m", "serving.cli", "serve", "--host", "0.0.0.0", "--port", str(free_port())],
        cwd=ROOT,
        env=server_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode != 0
    assert "mitoserve keys create" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, str]:
    """A folder for a server, whose state has keys for a bad tenant, a good one and a slow one."""
    scratch = tmp_path_factory.mktemp("server")
    keys = open_access(ServerSettings(state=scratch / "state")).keys
    bad, _ = keys.create("bad", ["score"], requests_per_minute=100)
    good, _ = keys.create("good", ["score"])
    slow, _ = keys.create("slow", ["score"])
    return scratch, bad, good, slow


@pytest.fixture(scope="module")
def server(tokens: tuple[Path, str, str, str], certificate: tuple[Path, Path]) -> Iterator[httpx.Client]:
    arguments = ("--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1]))
    with serve(
        tokens[0],
        models=write_quick_models(tokens[0] / "models"),
        arguments=arguments,
        environment={
            "MITOSIS_REQUESTS_AT_ONCE": "8",
            "MITOSIS_MAX_WAITING": "8",
            "MITOSIS_UPLOAD_IDLE_S": f"{LONGEST_S:g}",
        },
        verify=ssl.create_default_context(cafile=str(certificate[0])),
    ) as client:
        yield client


def test_tls_files_are_used(server: httpx.Client, certificate: tuple[Path, Path]) -> None:
    assert server.base_url.scheme == "https"
    assert server.get("/livez").text == "alive\n"
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(f"{server.base_url}/livez", timeout=LONGEST_S)


REQUESTS = 800
"""Enough to empty both buckets several times; set it to 10,000 to see more of the same."""


def connect(server: httpx.Client, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("localhost", server.base_url.port or 0), timeout=600)
    return context.wrap_socket(raw, server_hostname="localhost")


def exchange(connection: ssl.SSLSocket, request: bytes) -> int:
    """The status of the answer to a request; cheaper than an HTTP client, so that the server is what is measured."""
    connection.sendall(request)
    head, received = b"", b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(re.findall(rb"content-length: (\d+)", head)[0])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1])


def test_a_flood_of_requests_is_shed_and_others_served(
    server: httpx.Client, tokens: tuple[Path, str, str, str], certificate: tuple[Path, Path]
) -> None:
    _, bad, good, _ = tokens
    context = ssl.create_default_context(cafile=str(certificate[0]))
    served = threading.Event()

    def flood(number: int) -> Counter[int]:
        token = bad if number % 2 else f"{bad}x"
        request = f"GET /v1/schema/report HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        statuses: Counter[int] = Counter()
        with closing(connect(server, context)) as connection:
            while statuses.total() < REQUESTS // 8 or not served.is_set():
                statuses[exchange(connection, request)] += 1
        return statuses

    with ThreadPoolExecutor(8) as pool:
        floods = [pool.submit(flood, number) for number in range(8)]
        try:
            for _ in range(10):
                assert server.get("/v1/models", headers=bearer(good)).status_code == 200
                time.sleep(0.02)  # a client that looks now and then
        finally:
            served.set()
        statuses = sum((flood.result() for flood in floods), Counter[int]())
    assert statuses.total() >= REQUESTS
    assert set(statuses) <= {200, 401, 429}
    assert statuses[429] > statuses.total() / 2


def test_huge_headers_are_refused(server: httpx.Client, tokens: tuple[Path, str, str, str]) -> None:
    for size in (40_000, 1_000_000):
        try:
            status = server.get("/v1/models", headers={**bearer(tokens[1]), "X-Large": "a" * size}).status_code
        except httpx.TransportError:
            status = 400  # closed in the middle of the header
        assert status in (400, 431)
    assert server.get("/v1/models", headers=bearer(tokens[2])).status_code == 200


def is_refused(connection: ssl.SSLSocket) -> bool:
    """Whether it was told that there are too many; it waits if it was told nothing."""
    connection.setblocking(False)
    try:
        answer = connection.recv(200)
    except ssl.SSLWantReadError:
        return False
    assert b" 429 " in answer
    return True


def test_slow_bodies_hold_up_no_one(
    server: httpx.Client, tokens: tuple[Path, str, str, str], certificate: tuple[Path, Path]
) -> None:
    _, _, good, slow = tokens
    context = ssl.create_default_context(cafile=str(certificate[0]))
    head = (
        "POST /v1/score?filename=a.svs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {slow}\r\n\r\nII*"
    )
    connections = []
    try:
        for _ in range(20):
            connections.append(connect(server, context))
            connections[-1].sendall(head.encode())
        waiting, deadline = connections, time.monotonic() + LONGEST_S
        while len(connections) - len(waiting) < 8:
            assert time.monotonic() < deadline, "hardly any was refused"
            waiting = [connection for connection in waiting if not is_refused(connection)]
            time.sleep(0.05)
        response = server.post("/v1/score", params={"filename": "a.svs"}, content=b"no slide", headers=bearer(good))
        assert response.status_code == 415
        assert any(not is_refused(connection) for connection in waiting), "the others wait on"
    finally:
        for connection in connections:
            connection.close()


def test_no_log_holds_an_address_as_its_client_wrote_it(
    server: httpx.Client, tokens: tuple[Path, str, str, str]
) -> None:
    """Neither the app's nor BentoML's; the server's whole output is looked at."""
    name = "SMITH-JOHN-1950"
    for address in (f"/v1/slides/{name}.svs", f"/{name}", f"/v1/analyses/{name}/report?a={name}"):
        # The flood of wrong keys before still slows down who shows none.
        assert server.get(address).status_code in (400, 401, 404, 429)
        assert server.get(address, headers=bearer(tokens[2])).status_code in (400, 404)
    server.post(f"/v1/slides?filename={name}.svs", content=b"no slide", headers=bearer(tokens[2]))
    assert server.get("/v1/models", headers={**bearer(tokens[2]), "X-Request-ID": "the-last"}).status_code == 200
    log = tokens[0] / "server.log"
    # A line is written behind the answer that it is of.
    while "the-last" not in log.read_text():
        time.sleep(0.05)
    assert name not in log.read_text()
