"""Clients of an app in this process, with the address that a caller on this machine has."""

from typing import Any

from starlette.testclient import TestClient
from starlette.types import ASGIApp

from serving.access.local_key import FILE, local_key


class LocalClient(TestClient):
    """A caller over loopback, who shows the key of this machine where no other is shown."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **{"base_url": "http://localhost", "client": ("127.0.0.1", 50000), **options})
        self._app = app

    def send(self, *arguments: Any, **options: Any) -> Any:
        request = arguments[0]
        settings = getattr(getattr(self._app, "state", None), "settings", None)
        if settings is not None and "authorization" not in request.headers and (settings.state / FILE).exists():
            request.headers["Authorization"] = f"Bearer {local_key(settings)}"
        return super().send(*arguments, **options)


def bearer(token: str) -> dict[str, str]:
    """The header that shows a key or a token."""
    return {"Authorization": f"Bearer {token}"}
