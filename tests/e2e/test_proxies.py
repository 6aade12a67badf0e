"""The real nginx in front of a real server: nobody comes in through it without a key, and addresses stay below its prefix."""

import io
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from tusclient.client import TusClient

from serving.access.access import open_access
from serving.access.local_key import local_key
from serving.client import Client
from serving.settings import ServerSettings
from tests.browser.environment import serve
from tests.clients import bearer
from tests.e2e.processes import ROOT, free_port
from tests.limits import LONGEST_S
from tests.nginx import plain_proxy, program, proxy
from tests.services import field, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", autouse=True)
def nginx() -> str:
    return program()


@contextmanager
def keyless(folder: Path, **settings: Any) -> Iterator[tuple[int, str]]:
    """Port and local key of a server without keys."""
    with serve(folder / "state", **{"loopback_without_key": "off", **settings}) as ground:
        until(lambda: httpx.get(f"{ground.address}/readyz", timeout=LONGEST_S).status_code == 200)
        yield urlsplit(ground.address).port or 0, local_key(ServerSettings(state=folder / "state"))


PROXIES = {
    "proxy_pass alone": "",
    "the client's Host": "proxy_set_header Host $http_host;",
    "a name": "proxy_set_header Host localhost;",
    "usual headers": "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "headers taken away": 'proxy_set_header X-Forwarded-For ""; proxy_set_header Origin ""; proxy_set_header Via "";',
}


def test_no_proxy_opens_a_server_without_keys(tmp_path: Path) -> None:
    """Not even one that is the same to the server as a browser on its machine; and the machine's own user comes in."""
    for number, more in enumerate(PROXIES.values()):
        # A server of its own for each: callers who fail too often are slowed down (429).
        with keyless(tmp_path / f"{number}") as (port, key):
            direct = f"http://127.0.0.1:{port}/v1/slides"
            assert httpx.get(direct, timeout=LONGEST_S).status_code == 401
            assert httpx.get(direct, headers=bearer(key), timeout=LONGEST_S).status_code == 200
            with plain_proxy(tmp_path / f"nginx-{number}", port, more=more) as address:
                for path in ("/v1/slides", "/v1/analyses", "/metrics", "/v1/registry/versions"):
                    for claimed in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "localhost"}, bearer(f"{key}x")):
                        assert httpx.get(address + path, headers=claimed, timeout=LONGEST_S).status_code == 401, (
                            more,
                            path,
                            claimed,
                        )
                assert (
                    httpx.post(f"{address}/v1/slides?filename=a.png", content=field(), timeout=LONGEST_S).status_code
                    == 401
                )
                assert httpx.get(f"{address}/", timeout=LONGEST_S).status_code == 200


PREFIX = "/lab/mitoserve"
STATED = f"proxy_set_header X-Forwarded-Prefix {PREFIX}; proxy_set_header X-Forwarded-Host $http_host; "


@pytest.mark.parametrize(
    ("at", "to", "more", "settings"),
    [
        (f"{PREFIX}/", "/", STATED, {"trusted_proxies": ("127.0.0.1",)}),
        (f"{PREFIX}/", f"{PREFIX}/", STATED, {"trusted_proxies": ("127.0.0.0/8",)}),
        (f"{PREFIX}/", "/", "proxy_set_header Host $http_host;", {"root_path": PREFIX}),
        (f"{PREFIX}/", "", "proxy_set_header Host $http_host;", {"root_path": PREFIX}),
    ],
)
def test_every_address_stays_below_the_prefix(
    tmp_path: Path, at: str, to: str, more: str, settings: dict[str, Any]
) -> None:
    content = field()
    with (
        serve(tmp_path / "state", **settings) as ground,
        plain_proxy(tmp_path / "nginx", urlsplit(ground.address).port or 0, at=at, to=to, more=more) as base,
    ):
        until(lambda: httpx.get(f"{ground.address}/readyz", timeout=LONGEST_S).status_code == 200)
        origin = base.removesuffix(PREFIX)
        key = _key(tmp_path / "state")

        def inside(address: str) -> httpx.Response:
            assert address.startswith((f"{PREFIX}/", f"{base}/")), address
            answer = httpx.get(
                address if address.startswith("http") else origin + address, headers=bearer(key), timeout=LONGEST_S
            )
            assert answer.status_code in (200, 206), (address, answer.text)
            return answer

        # tus, as a client of somebody else's speaks it, in three pieces
        uploader = TusClient(f"{base}/v1/uploads", headers=bearer(key)).uploader(
            file_stream=io.BytesIO(content), chunk_size=len(content) // 3 + 1, metadata={"filename": "a.png"}
        )
        uploader.upload()
        assert uploader.url.startswith(f"{base}/v1/uploads/")
        slide = inside(uploader.url).json()["slide"]
        # our own client, and a second slide
        with Client(base, key=key) as client:
            picture = tmp_path / "b.png"
            picture.write_bytes(field(seed=1))
            assert client.upload(picture).id != slide
            analysis = client.wait(client.start(slide, mpp=0.25))
        listed = inside(f"{PREFIX}/v1/slides?limit=1").json()
        assert inside(listed["next"]).json()["slides"]
        again = httpx.post(
            f"{base}/v1/analyses",
            json={"slide": slide, "options": {"mpp": 0.25}},
            headers=bearer(key),
            timeout=LONGEST_S,
        )
        found = inside(again.headers["location"]).json()
        for link in (found["links"]["self"], found["links"]["events"]):
            inside(link)
        assert client_page(inside(f"{PREFIX}/v1/analyses?limit=1").json()["next"])
        inside(inside(f"{PREFIX}/v1/analyses/{analysis.id}/map").json()["scores"])
        inside(inside(f"{PREFIX}/v1/analyses/{analysis.id}/mask").json()["picture"])
        # IIIF: the base address redirects, and what it states of itself is where it is
        redirect = httpx.get(f"{base}/v1/slides/{slide}/iiif", headers=bearer(key), timeout=LONGEST_S)
        info = inside(redirect.headers["location"]).json()
        assert info["id"] == f"{base}/v1/slides/{slide}/iiif"
        inside(f"{info['id']}/full/64,/0/default.jpg")
        slash = httpx.get(f"{base}/v1/slides/", headers=bearer(key), timeout=LONGEST_S)
        inside(slash.headers["location"])
        # the viewer: every script and style that a page names, and every module that a script imports
        for page in (f"{PREFIX}/", f"{PREFIX}/v1/analyses/{analysis.id}/view", f"{PREFIX}/viewer/disagreements.html"):
            for file in re.findall(r'(?:src|href)="([^"#]+)"', inside(page).text):
                module = inside(file)
                for imported in re.findall(r'"(\.{1,2}/[a-z_/]+\.js)"', module.text) if "vendor" not in file else ():
                    inside(urljoin(file, imported))
        assert json.loads(inside(f"{PREFIX}/openapi.json").text)["servers"] == [{"url": PREFIX}]


def client_page(address: str) -> bool:
    return address.startswith(f"{PREFIX}/v1/analyses?")


def _key(state: Path) -> str:
    """A key of a user: what comes through a proxy is never the machine's own."""
    return open_access(ServerSettings(state=state)).keys.create("lab", ["score"])[0]


@pytest.fixture(scope="module", params=[("nginx.conf", "127.0.0.1:3000"), ("nginx.several.conf", "mitoserve:3000")])
def limited(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """A configuration that ships, with shorter times: only the numbers of seconds and the addresses are others."""
    folder = tmp_path_factory.mktemp("limited")
    port = free_port()
    name, upstream = request.param
    with serve(folder / "state") as ground:
        text = (ROOT / "deploy" / name).read_text()
        for old, new in {
            "listen 80;": f"listen 127.0.0.1:{port};",
            upstream: ground.address.removeprefix("http://"),
            "client_header_timeout 10s": "client_header_timeout 1s",
            "client_body_timeout 60s": "client_body_timeout 1s",
        }.items():
            assert old in text
            text = text.replace(old, new)
        with proxy(folder / "nginx", text, port) as address:
            yield address


def _connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=600)


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /v1/slides HTTP/1.1\r\nHost: a\r\nX-Half: ",
        b"POST /v1/slides?filename=a.png HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf",
    ],
)
def test_the_shipped_proxy_ends_half_sent_requests(limited: str, begun: bytes) -> None:
    with _connect(limited) as connection:
        connection.sendall(begun)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        assert not received.startswith(b"HTTP/1.1 2")
    assert httpx.get(f"{limited}/livez", timeout=LONGEST_S).status_code == 200


def test_the_shipped_proxy_limits_the_connections_of_an_address(limited: str) -> None:
    """Half-sent headers count from their end only, so each of these has sent a whole header and waits with its body."""
    head = b"POST /v1/slides?filename=a.png HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    held = []
    try:
        for _ in range(64):
            held.append(_connect(limited))
            held[-1].sendall(head)
        statuses = set()
        deadline = time.monotonic() + LONGEST_S
        while 429 not in statuses and time.monotonic() < deadline:
            statuses.add(httpx.get(f"{limited}/livez", timeout=LONGEST_S).status_code)
            for connection in held:  # keeps the bodies coming, so that they are not ended for being idle
                with suppress(OSError):
                    connection.sendall(b"x")
        assert 429 in statuses
    finally:
        for connection in held:
            connection.close()
    until(lambda: httpx.get(f"{limited}/livez", timeout=LONGEST_S).status_code == 200)


def test_the_shipped_proxy_refuses_large_headers_and_passes_slides_on(limited: str) -> None:
    assert httpx.get(f"{limited}/livez", headers={"X-Large": "a" * 70_000}, timeout=LONGEST_S).status_code in (400, 431)
    # The tests before left the proxy's address with many requests without a key, which are slowed down for a while (429).
    until(
        lambda: httpx.post(f"{limited}/v1/slides?filename=a.png", content=field(), timeout=LONGEST_S).status_code == 401
    )
