"""Limits of every request, whatever its address: the head before anything reads it, the body while it arrives.

Each limit is far above what the server's own clients send. They hold the work that one request can cause: the time of the
code that runs on the event loop grows with the size of what it reads.
"""

from collections.abc import Mapping

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.headers import is_json
from serving.api.problems import (
    KINDS,
    AddressTooLongError,
    BodyTooLargeError,
    HeadersTooLargeError,
    StalledError,
    problem,
)
from serving.api.routes import MAX_PATH_BYTES, matches, route_path
from serving.core.errors import MitoserveError, RequestError

MAX_HEADER_BYTES = 32 * 2**10
"""Of names and values together: a long bearer token and tus metadata fit several times."""
MAX_HEADERS = 128
"""A browser behind three proxies sends some 40."""
MAX_QUERY_BYTES = 48 * 2**10
"""A roi of 8,000 characters and a file name of 1,000, each character written as up to nine."""
MAX_PARAMETERS = 100
"""Of a query: the route with most options has 16."""

MAX_BODY_BYTES = 2**20
"""A roi may have 100,000 characters; nothing else in a request that is no upload comes near."""
BODY_TIME_S = 60.0
"""For a body that is no upload to arrive whole."""
MIN_BYTES = 2**14
"""Of an upload in each `Settings.upload_idle_s`, or its end: at the default of 60 s the speed of a telephone modem."""

UPLOADS: Mapping[str, frozenset[str]] = {
    "/v1/score": frozenset({"POST"}),
    "/v1/slides": frozenset({"POST", "PUT"}),
    "/v1/uploads/{upload_id}": frozenset({"PATCH", "POST"}),
    "/v1/monailabel/infer/wsi_v2/{model}": frozenset({"POST"}),
    "/v1/registry/versions": frozenset({"POST"}),
}
"""Routes that write the body to disk as it arrives and bound its size by themselves; every other body is bounded here."""


class BoundedHeads:
    """Refuses requests whose address, query or headers are larger than any that this server has a use for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            check_head(scope)
        except MitoserveError as error:
            await problem(error.slug, str(error), headers=_CLOSE)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BoundedBodies:
    """Ends requests whose body is too large, or takes too long to arrive.

    What the route had begun to answer in place of it, such as that the body cannot be parsed, is not sent.
    """

    def __init__(self, app: ASGIApp, *, idle_s: float, body_s: float = BODY_TIME_S) -> None:
        """idle_s : as `Settings.upload_idle_s`; body_s : for a body that is no upload."""
        self._app, self._idle_s, self._body_s = app, idle_s, body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._idle_s if _is_upload(scope) else None, self._body_s)
        answer = _Answer(send, body)
        await self._app(scope, body.receive, answer.send)


class _Body:
    """A request's body on its way to its route, and what was wrong with it."""

    def __init__(self, receive: Receive, idle_s: float | None, body_s: float) -> None:
        """idle_s : of an upload; None of any other body."""
        self._receive, self._idle_s = receive, idle_s
        self._limit_s = self._left_s = body_s if idle_s is None else idle_s
        self._arrived, self._counted = 0, 0
        self._whole = False
        self.error: MitoserveError | None = None

    async def receive(self) -> Message:
        """The next message (ASGI); raises what is wrong with the body, the second time too."""
        if self._whole:
            return await self._receive()  # a route that waits asks whether its client is still there
        if self.error is None:
            try:
                return await self._next()
            except MitoserveError as error:
                self.error = error
        raise self.error

    async def _next(self) -> Message:
        started = anyio.current_time()  # what the server takes to write to its disk is not the client's time
        try:
            with anyio.fail_after(self._left_s):
                message = await self._receive()
        except TimeoutError as error:
            raise StalledError(
                f"{self._arrived - self._counted} bytes arrived in {self._limit_s:g} s, and the body is not complete; "
                "send it again over a steadier connection"
            ) from error
        self._left_s = max(self._left_s - (anyio.current_time() - started), 0.0)
        self._arrived += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._idle_s is None:
            if self._arrived > MAX_BODY_BYTES:
                raise BodyTooLargeError(f"the body has more than {MAX_BODY_BYTES} bytes, which no request here needs")
        elif self._arrived - self._counted >= MIN_BYTES:
            self._counted, self._left_s = self._arrived, self._limit_s
        return message


class _Answer:
    """Sends the route's answer, or what was wrong with the body in its place."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Send the next message (ASGI)."""
        error = self._body.error
        if message["type"] == "http.response.start" and error is not None:
            message["headers"] = [*message["headers"], (b"connection", b"close")]
            self._replaced = message["status"] != KINDS[error.slug].status
            if self._replaced:
                answer = problem(error.slug, str(error), headers=_CLOSE)
                await self._send({**message, "status": answer.status_code, "headers": answer.raw_headers})
                await self._send({"type": "http.response.body", "body": answer.body})
        if not self._replaced:
            await self._send(message)


_CLOSE = {"Connection": "close"}
"""What is left of the request is not read, so nothing can follow it."""


def check_head(scope: Scope) -> None:
    """Nothing, where address, query and headers are within the limits.

    Raises
    ------
    AddressTooLongError, HeadersTooLargeError, RequestError
        If they are not, or if the address holds a control character, which no name here has and some databases refuse.
    """
    path, query, headers = scope["path"], scope["query_string"], scope["headers"]
    if len(scope.get("raw_path") or path.encode(errors="surrogateescape")) > MAX_PATH_BYTES:
        raise AddressTooLongError(f"the address has more than {MAX_PATH_BYTES} bytes; /openapi.json lists all of them")
    if len(query) > MAX_QUERY_BYTES or query.count(b"&") >= MAX_PARAMETERS:
        raise AddressTooLongError(
            f"the query has more than {MAX_QUERY_BYTES} bytes or {MAX_PARAMETERS} parameters; a long roi goes into the "
            "body of POST /v1/analyses"
        )
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeadersTooLargeError(
            f"the headers have more than {MAX_HEADER_BYTES} bytes or are more than {MAX_HEADERS}; send fewer"
        )
    if any(ord(character) < 32 for character in path) or b"%00" in query:
        raise RequestError("the address holds a control character; no name here has one")


def _is_upload(scope: Scope) -> bool:
    if any(is_json(value.decode("latin-1")) for name, value in scope["headers"] if name == b"content-type"):
        return False
    return any(scope["method"] in methods and matches(path, route_path(scope)) for path, methods in UPLOADS.items())
