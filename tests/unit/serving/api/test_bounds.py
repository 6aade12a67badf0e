"""No request holds the server longer, or makes it read more, than its limits say; whatever its address and its type."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.api.app import create_app
from serving.api.bounds import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PARAMETERS,
    MAX_QUERY_BYTES,
    MIN_BYTES,
    UPLOADS,
    BoundedBodies,
    BoundedHeads,
)
from serving.api.problems import problem
from serving.api.routes import MAX_PATH_BYTES, METHODS
from serving.core.errors import MitoserveError
from serving.settings import ServerSettings
from tests.examples import draw_examples

Reply = tuple[int, dict[bytes, bytes], bytes]


def scope(method: str = "POST", path: str = "/v1/analyses", query: bytes = b"", headers: Iterable[Any] = ()) -> Scope:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query, "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 3000), "state": {},
    }  # fmt: skip


async def ask(app: Callable[..., Awaitable[None]], wanted: Scope, receive: Receive) -> Reply:
    """Status, headers and body of the answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(wanted, receive, send)
    assert [message["type"] for message in sent].count("http.response.start") == 1
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


def kind(reply: Reply) -> str:
    return str(json.loads(reply[2])["type"]).removeprefix("urn:mitoserve:problem:")


async def echo(wanted: Scope, receive: Receive, send: Send) -> None:
    """Says how much arrived, or what was wrong."""
    try:
        body = await Request(wanted, receive).body()
    except MitoserveError as error:
        await problem(error.slug, str(error))(wanted, receive, send)
    else:
        await Response(str(len(body)))(wanted, receive, send)


async def swallow(wanted: Scope, receive: Receive, send: Send) -> None:
    """A route whose framework says of every error that the body cannot be parsed."""
    try:
        body = await Request(wanted, receive).body()
    except Exception:
        await Response("cannot be parsed", 400)(wanted, receive, send)
    else:
        await Response(str(len(body)))(wanted, receive, send)


class Arriving:
    """Gives the pieces of a body; then the client waits, or is done."""

    def __init__(self, pieces: Iterable[bytes], *, ends: bool = True, pause_s: float = 0.0) -> None:
        self._pieces, self._ends, self._pause_s = list(pieces), ends, pause_s
        self.given = 0

    async def __call__(self) -> Message:
        if self._pause_s:
            await anyio.sleep(self._pause_s)
        if not self._pieces:
            await anyio.sleep_forever()
        piece = self._pieces.pop(0)
        self.given += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or not self._ends}


def bodies(app: Callable[..., Awaitable[None]], *, idle_s: float = 60, body_s: float = 60) -> BoundedBodies:
    return BoundedBodies(app, idle_s=idle_s, body_s=body_s)


@given(
    sizes=st.lists(st.integers(0, 400_000), max_size=8),
    route=st.sampled_from([echo, swallow]),
    content_type=st.sampled_from(
        ["text/plain", "application/json", "multipart/form-data; boundary=a", "", "APPLICATION/JSON"]
    ),
)
@draw_examples(60)
def test_a_body_arrives_whole_or_is_refused_by_its_size(sizes: list[int], route: Any, content_type: str) -> None:
    arriving = Arriving([bytes(size) for size in sizes] or [b""])
    headers = [(b"content-type", content_type.encode())]
    reply = asyncio.run(ask(bodies(route), scope(headers=headers), arriving))
    if sum(sizes) <= MAX_BODY_BYTES:
        assert (reply[0], reply[2]) == (200, str(sum(sizes)).encode())
    else:
        assert (reply[0], kind(reply), reply[1][b"connection"]) == (413, "body-too-large", b"close")
        assert arriving.given <= MAX_BODY_BYTES + 400_000


@pytest.mark.parametrize("route", [echo, swallow])
@pytest.mark.parametrize("path", ["/v1/analyses", "/v1/score", "/v1/uploads/a"])
@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a"] * 2000])
def test_a_body_that_stalls_or_drips_is_given_up(path: str, pieces: list[bytes], route: Any) -> None:
    arriving = Arriving(pieces, ends=False, pause_s=0.001 if pieces else 0)
    reply = asyncio.run(ask(bodies(route, idle_s=0.05, body_s=0.05), scope(path=path), arriving))
    assert (reply[0], kind(reply), reply[1][b"connection"]) == (408, "upload-stalled", b"close")


def test_an_upload_takes_as_long_as_it_needs_while_it_goes_on() -> None:
    """Twenty pieces, each within the limit, together far beyond it; and a disk that is slower than the limit."""
    pieces = [bytes(MIN_BYTES)] * 20

    async def slow(wanted: Scope, receive: Receive, send: Send) -> None:
        total = 0
        async for chunk in Request(wanted, receive).stream():
            total += len(chunk)
            await anyio.sleep(0.02)
        await Response(str(total))(wanted, receive, send)

    app = bodies(slow, idle_s=10, body_s=0.01)
    reply = asyncio.run(ask(app, scope(path="/v1/score"), Arriving(pieces, pause_s=0.002)))
    assert (reply[0], reply[2]) == (200, str(20 * MIN_BYTES).encode())


def test_a_route_that_waits_may_ask_for_ever_whether_its_client_is_there() -> None:
    async def waiting(wanted: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with anyio.move_on_after(0.1) as waited:
            await receive()
        await Response(str(waited.cancelled_caught))(wanted, receive, send)

    reply = asyncio.run(ask(bodies(waiting, idle_s=0.01, body_s=0.01), scope(), Arriving([b"whole"])))
    assert reply[2] == b"True"


def test_no_route_of_the_app_reads_more_than_its_limit(tmp_path: Path) -> None:
    """Every route and method, with bodies of no type and of every type that a route takes."""
    app = create_app(ServerSettings(state=tmp_path, loopback_without_key="on"))
    types = ["text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]

    async def everything() -> None:
        for path, operations in app.openapi()["paths"].items():
            for method in METHODS - {"OPTIONS"}:
                if method in UPLOADS.get(path, ()):
                    continue  # it writes to disk as the body arrives, up to MITOSIS_MAX_UPLOAD_BYTES
                for content_type in types if method.lower() in operations else types[:1]:
                    arriving = Arriving([bytes(2**16)] * 64)
                    headers = [(b"content-type", content_type.encode())]
                    status = (await ask(app, scope(method, path, headers=headers), arriving))[0]
                    assert arriving.given <= MAX_BODY_BYTES + 2**16, (method, path, content_type)
                    assert status >= 400 or arriving.given == 0, (method, path, content_type)

    asyncio.run(everything())


HEADERS = st.lists(st.tuples(st.just(b"x-a"), st.integers(0, 9000).map(bytes)), max_size=150)


@given(path=st.integers(1, 3000), parameters=st.integers(0, 150), value=st.integers(0, 600), headers=HEADERS)
def test_a_head_is_taken_or_refused_by_its_size(path: int, parameters: int, value: int, headers: Any) -> None:
    query = b"&".join([b"a=" + b"b" * value] * parameters)
    wanted = scope("GET", "/" + "a" * (path - 1), query, headers)
    reply = asyncio.run(ask(BoundedHeads(echo), wanted, Arriving([b""])))
    sizes = sum(len(name) + len(content) for name, content in wanted["headers"])
    if path > MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES or parameters > MAX_PARAMETERS:
        assert kind(reply) == "address-too-long"
    elif len(wanted["headers"]) > MAX_HEADERS or sizes > MAX_HEADER_BYTES:
        assert kind(reply) == "headers-too-large"
    else:
        assert reply[0] == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/score", b"&".join([b"mpp=1"] * 10_000)),
        ("/v1/analyses", b"&" * 60_000),
        ("/v1/slides/a/deepzoom_files/1/" + "_" * 60_000, b""),
        ("/v1/slides/a\x00", b""),
        ("/v1/monailabel/datastore/image", b"image=a%00b"),
    ],
)
def test_what_would_hold_the_event_loop_or_the_database_is_refused_at_once(
    tmp_path: Path, path: str, query: bytes
) -> None:
    app = create_app(ServerSettings(state=tmp_path))
    reply = asyncio.run(ask(app, scope("GET", path, query), Arriving([b""])))
    assert reply[0] in (400, 414)
