"""What a proxy states is believed from named ones alone; and whatever is stated, routes, guards and limits see one address."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from starlette._utils import get_route_path  # the router's own view, with which ours has to agree
from starlette.types import Message, Receive, Scope, Send

from serving.api.guard import required_grant
from serving.api.proxies import Proxies, is_prefix
from serving.api.routes import address, route_path
from tests.unit.serving.api.test_bounds import Arriving, ask, scope

PREFIXES = st.sampled_from(
    [
        "/lab",
        "/lab/mitoserve",
        "/lab/",
        "/viewer",
        "/v1",
        "//evil.example",
        "/..",
        "/a/../b",
        "/a?b",
        "/a#b",
        "lab",
        "http://evil.example",
        "",
        "/%2e",
    ]
)
PATHS = st.sampled_from(
    ["/", "/v1/slides", "/livez", "/viewer/main.js", "/lab/v1/slides", "/v1/v1/slides", "/lab", "/labs/x"]
)
STATED = st.fixed_dictionaries(
    {},
    optional={
        "x-forwarded-prefix": PREFIXES,
        "x-forwarded-for": st.sampled_from(
            ["203.0.113.7", "127.0.0.1", "203.0.113.7, 10.0.0.2", "[::1]:80", "garbage", "10.0.0.2:5"]
        ),
        "x-forwarded-proto": st.sampled_from(["https", "http", "javascript", "https, http"]),
        "x-forwarded-host": st.sampled_from(["lab.example", "lab.example:8443", "evil.example/x", "a b", "[::1]:80"]),
    },
)


def see(wanted: Scope, trusted: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """The request as the app sees it, and the address that it gives for one of its own."""
    found: dict[str, Any] = {}

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        found.update(inner, address=address("/v1/slides"), route=route_path(inner), starlette=get_route_path(inner))
        location = f"{inner['scheme']}://{dict(inner['headers'])[b'host'].decode()}{inner['root_path']}/v1/slides"
        start: Message = {"type": "http.response.start", "status": 307, "headers": [(b"location", location.encode())]}
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    reply = asyncio.run(ask(Proxies(app, trusted=trusted, prefix=prefix), wanted, Arriving([b""])))
    return found | {"location": reply[1][b"location"].decode()}


def forward(path: str, stated: dict[str, str], peer: str = "10.0.0.2") -> Scope:
    headers = [(name.encode(), value.encode()) for name, value in stated.items()]
    return {**scope("GET", path, headers=headers), "client": (peer, 40000)}


@given(path=PATHS, stated=STATED)
def test_what_others_state_changes_nothing(path: str, stated: dict[str, str]) -> None:
    found = see(forward(path, stated), ("10.0.0.3", "192.168.0.0/16"))
    assert found["client"] == ("10.0.0.2", 40000)
    assert (found["scheme"], found["path"], found["root_path"], found["address"]) == ("http", path, "", "/v1/slides")
    assert dict(found["headers"])[b"host"] == b"localhost"


@given(path=PATHS, stated=STATED, own=st.sampled_from(["", "/own"]))
def test_what_a_named_proxy_states_is_taken_if_it_can_be(path: str, stated: dict[str, str], own: str) -> None:
    found = see(forward(path, stated), ("10.0.0.0/24",), own)
    stated_prefix = stated.get("x-forwarded-prefix", "").rstrip("/")
    prefix = stated_prefix if stated_prefix in ("/lab", "/lab/mitoserve", "/viewer", "/v1") else own
    assert found["root_path"] == prefix
    assert found["address"] == found["location"] == f"{prefix}/v1/slides"
    # Router and guard look at the same address, so no prefix makes a guarded one public.
    assert found["route"] == found["starlette"]
    assert found["route"] == (path.removeprefix(prefix) if path == prefix or path.startswith(f"{prefix}/") else path)
    if found["route"].startswith("/v1/"):
        assert required_grant("GET", found["route"]) == "read"
    for_ = stated.get("x-forwarded-for", "")
    assert found["client"][0] == {
        "203.0.113.7": "203.0.113.7", "127.0.0.1": "127.0.0.1", "203.0.113.7, 10.0.0.2": "203.0.113.7", "[::1]:80": "::1",
    }.get(for_, "10.0.0.2")  # fmt: skip
    assert found["scheme"] == {"https": "https"}.get(stated.get("x-forwarded-proto", ""), "http")
    host = stated.get("x-forwarded-host", "")
    assert dict(found["headers"])[b"host"].decode() == (
        host if host in ("lab.example", "lab.example:8443", "[::1]:80") else "localhost"
    )


@given(text=st.text(max_size=40) | PREFIXES)
def test_a_prefix_leads_nowhere_else(text: str) -> None:
    if is_prefix(text):
        assert text.startswith("/")
        assert not text.startswith("//")
        assert ".." not in text.split("/")
        assert not set(text) & set("?#%\\: \n")
