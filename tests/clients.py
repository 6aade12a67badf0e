"""Clients of an app in this process, with the address that a caller on this machine has."""

from typing import Any

from starlette.testclient import TestClient
from starlette.types import ASGIApp


class LocalClient(TestClient):
    """A caller over loopback, who needs no key until there is one."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **{"base_url": "http://localhost", "client": ("127.0.0.1", 50000), **options})


def bearer(token: str) -> dict[str, str]:
    """The header that shows a key or a token."""
    return {"Authorization": f"Bearer {token}"}
