"""The client below a path prefix, and what it says to whoever has no key."""

import base64
from pathlib import Path

import httpx
import pytest

from serving.client import Client, RefusedError
from serving.client.uploads import Notes


@pytest.mark.parametrize("server", ["http://lab", "http://lab/", "http://lab/mitoserve", "http://lab/a/b/"])
@pytest.mark.parametrize(
    "stated", ["{prefix}/v1/uploads/u", "http://inside:3000{prefix}/v1/uploads/u", "/v1/uploads/u"]
)
def test_an_upload_stays_below_the_servers_address(tmp_path: Path, server: str, stated: str) -> None:
    """Whether the server knows its prefix, which it states in Location, or a proxy has taken it off unseen."""
    prefix, asked, content = httpx.URL(server).path.rstrip("/"), [], b"slide"

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.host, request.url.path))
        if request.method == "POST":
            return httpx.Response(201, headers={"Location": stated.format(prefix=prefix)})
        if request.method == "PATCH":
            return httpx.Response(204, headers={"Upload-Offset": str(len(content))})
        return httpx.Response(200, json={"slide": "s", "id": "s", "name": "a.svs"})

    (tmp_path / "a.svs").write_bytes(content)
    with Client(server, key="k", notes=Notes(tmp_path / "notes"), transport=httpx.MockTransport(answer)) as client:
        assert client.upload(tmp_path / "a.svs").id == "s"
    uploads, slides = f"{prefix}/v1/uploads", f"{prefix}/v1/slides/s"
    wanted = [("POST", uploads), ("PATCH", f"{uploads}/u"), ("GET", f"{uploads}/u"), ("GET", slides)]
    assert asked == [(method, "lab", path) for method, path in wanted]


def test_who_has_no_key_is_told_how_to_show_one() -> None:
    problem = {"type": "urn:mitoserve:problem:unauthenticated", "detail": "send 'Authorization: Bearer KEY'"}
    transport = httpx.MockTransport(lambda _: httpx.Response(401, json=problem))
    client = Client("http://lab", key=base64.b64encode(b"k").decode(), transport=transport)
    with client, pytest.raises(RefusedError, match=r"set MITOSIS_KEY .*mitoserve keys local") as refused:
        client.look("a")
    assert refused.value.kind == "unauthenticated"
    assert "Bearer" not in str(refused.value)
