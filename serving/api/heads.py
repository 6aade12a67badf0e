"""HEAD wherever there is GET, and what every answer says to browsers."""

from collections.abc import Callable, Collection

import anyio
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.routes import matches, route_path

_FOUND = ("route", "endpoint", "path_params")
"""What a router notes of a request; whoever called it reads it."""


class HeadAsGet:
    """Answers HEAD as GET without the body (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp, own: Callable[[], Collection[str]]) -> None:
        """Answer HEAD for all routes but those whose templates are in `own`, which do so by themselves."""
        self._app, self._own = app, own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if (
            scope["type"] != "http"
            or scope["method"] != "HEAD"
            or any(matches(t, route_path(scope)) for t in self._own())
        ):
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        with anyio.CancelScope() as answer:

            async def headed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    scope.update({name: asked[name] for name in _FOUND if name in asked})
                    await send(message)
                elif not answer.cancel_called:
                    await send({"type": "http.response.body", "body": b""})
                    answer.cancel()  # a stream, such as of events, may have no end

            await self._app(asked, receive, headed)


class SafeAnswers:
    """Tells browsers to take every answer for what it says it is, and to run nothing in it."""

    def __init__(self, app: ASGIApp, *, vary_by_origin: bool) -> None:
        """vary_by_origin : whether some origins' pages may read answers and others' may not."""
        self._app, self._vary = app, vary_by_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if any(kind in headers.get("content-type", "") for kind in ("html", "xml", "svg")):
                    headers.setdefault("Content-Security-Policy", POLICY)
                if self._vary and "origin" not in headers.get("vary", "").lower():
                    headers.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, safe if scope["type"] == "http" else send)


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; sandbox"
"""Of whatever a browser would run, but for the viewer's pages: a report as HTML has its styles and pictures inside, and no
scripts. Not of a PDF, which browsers show by a program that this would stop."""
