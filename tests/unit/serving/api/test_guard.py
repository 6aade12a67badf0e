import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.access.access import AccessControl, open_access
from serving.api.guard import Guard, required_grant
from serving.settings import ServerSettings
from tests.clients import bearer
from tests.limits import LONGEST_S


@pytest.mark.parametrize(
    ("method", "path", "grant"),
    [
        ("GET", "/livez", None),
        ("HEAD", "/readyz", None),
        ("GET", "/metrics", "read"),
        ("GET", "/v1/models", "read"),
        ("GET", "/livez/", "read"),
        ("GET", "//livez", "read"),
        ("POST", "/livez", "score"),
        ("GET", "/viewer/main.js", None),
        ("GET", "/viewer/vendor/tus.min.js", None),
        ("GET", "/v1/analyses/a/view", None),
        ("GET", "/v1/analyses/a/b/view", "read"),
        ("GET", "/v1/analyses/a/view/", "read"),
        ("POST", "/viewer/main.js", "score"),
        ("POST", "/v1/score", "score"),
        ("DELETE", "/v1/slides/a", "score"),
        ("PATCH", "/v1/uploads/a", "score"),
        ("TRACE", "/v1/models", "score"),
        ("get", "/v1/models", "score"),
    ],
)
def test_what_is_not_public_takes_a_scope(method: str, path: str, grant: str | None) -> None:
    assert required_grant(method, path) == grant


@pytest.fixture
def access(tmp_path: Path) -> AccessControl:
    return open_access(ServerSettings(state=tmp_path))


class Waiting:
    """An app whose answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.inside, self.released = 0, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.released.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["principal"].id.encode()})


def test_a_key_has_a_bounded_number_of_requests_under_way(access: AccessControl) -> None:
    token, _ = access.keys.create("busy", ["read"])
    other, other_key = access.keys.create("other", ["read"])

    async def scenario() -> None:
        app = Waiting()
        transport = httpx.ASGITransport(Guard(app, lambda: access, requests_at_once=2))
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=LONGEST_S) as client:
            held = [asyncio.create_task(client.get("/v1/slides", headers=bearer(token))) for _ in range(2)]
            while app.inside < 2:
                await asyncio.sleep(0.001)
            refused = await client.get("/v1/slides", headers=bearer(token))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            unhindered = asyncio.create_task(client.get("/v1/slides", headers=bearer(other)))
            while app.inside < 3:
                await asyncio.sleep(0.001)
            app.released.set()
            assert [(await answer).status_code for answer in held] == [200, 200]
            assert (await unhindered).text == f"key:{other_key.id}"
            assert (await client.get("/v1/slides", headers=bearer(token))).status_code == 200

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_an_error_gives_the_place_back(access: AccessControl) -> None:
    token, _ = access.keys.create("busy", ["read"])

    async def failing(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError("inside")

    async def scenario() -> None:
        transport = httpx.ASGITransport(Guard(failing, lambda: access, requests_at_once=1))
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=LONGEST_S) as client:
            for _ in range(3):
                with pytest.raises(RuntimeError, match="inside"):
                    await client.get("/v1/slides", headers=bearer(token))

    asyncio.run(scenario())
