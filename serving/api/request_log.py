"""Outermost around every request: its id, its line in the log, its metrics, its trace."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.routes import bound_method, route_template
from serving.observability import metrics
from serving.observability.logs import request_id
from serving.observability.tracing import request_span

HEADER = "X-Request-ID"

_USABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_log = logging.getLogger("mitoserve.requests")


class RequestLog:
    """Gives each request an id, or keeps the one that a proxy gave it, and states how it went."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        identifier = given if _USABLE.fullmatch(given) else str(uuid.uuid4())
        # Not reset: the error handlers outside this middleware log under it too, and the next request sets its own.
        request_id.set(identifier)
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identifier
            await send(message)

        with request_span(headers) as span:
            try:
                await self._app(scope, receive, answer)
            finally:
                seconds = time.perf_counter() - started
                method, route = bound_method(scope), route_template(scope)
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.request.method": method, "http.route": route})
                span.set_attribute("http.response.status_code", status)
                metrics.count_request(method, route, status, seconds=seconds)
                principal = scope.get("state", {}).get("principal")
                _log.info(
                    "request",
                    extra={
                        "method": method,
                        "route": route,
                        "status": status,
                        "seconds": round(seconds, 4),
                        "principal": principal.id if principal else "anonymous",
                    },
                )
