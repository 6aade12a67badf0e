"""Bodies that are read whole are small: slides are streamed, everything else is a page of JSON at most."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.wsi.errors import RequestError

MAX_JSON_BYTES = 2**20
"""A roi may have 100,000 characters; nothing else in a request comes near."""


class BoundedJson:
    """Ends requests whose JSON is larger than any that the routes take."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        kinds = [value for name, value in scope.get("headers", ()) if name == b"content-type"]
        if scope["type"] != "http" or not any(b"json" in kind.lower() for kind in kinds):
            await self._app(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_JSON_BYTES:
                raise RequestError(f"the JSON is larger than {MAX_JSON_BYTES} bytes")
            return message

        await self._app(scope, bounded, send)
