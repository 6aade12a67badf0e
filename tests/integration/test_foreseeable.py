"""Values that somebody will send some day end in an answer that says so, on every route, and never in a failure of the server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients import LocalClient
from tests.services import bring, field, serving, submit, wait_for_end, without_wait

pytestmark = pytest.mark.integration

ODD = [
    "", "0", "-1", "1e400", "nan", "9" * 30, "9" * 1000, "a" * 999, "é" * 400, "..", ".", "%2e%2e", "a/../b", "a\\b", "[copy]",
    "\N{SNOWMAN}", "\u202e.svs", "null", "true", "{}", "' OR 1=1 --", "<script>", "${jndi:x}", "a\tb", "٣", "full", "0,0,1,1",
]  # fmt: skip
"""As a part of an address or a query."""
INSIDE: list[Any] = [
    *ODD,
    "\x00",
    "a\x00b",
    "\ud800",
    2**63,
    -(2**63) - 1,
    2**70,
    1e308,
    -0.0,
    True,
    None,
    [],
    {},
    [[]] * 3,
    "a" * 5000,
]
"""As a value in JSON."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    root = tmp_path_factory.mktemp("mounted")
    (root / "a.png").write_bytes(field(seed=1))
    with serving(tmp_path_factory.mktemp("s") / "state", slide_root=root) as client:
        yield client


@pytest.fixture(scope="module")
def things(client: LocalClient) -> dict[str, str]:
    slide = bring(client, field())
    analysis = submit(client, slide)["id"]
    wait_for_end(client, analysis)
    begun = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": "name YS5wbmc="}
    upload = client.post("/v1/uploads", headers=begun).headers["location"].rsplit("/", 1)[1]
    return {"slide_id": slide, "upload_id": upload, "analysis_id": analysis}


@pytest.fixture(scope="module")
def routes(client: LocalClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Every route: its address, its method, and what the document says of it. Those that end or stop things come last."""
    paths = client.get("/openapi.json").json()["paths"]
    found = [(path, method, said) for path, methods in paths.items() for method, said in methods.items()]
    return [route for route in found if route[1] in ("get", "head", "post", "put", "patch")]


def answer(client: LocalClient, method: str, address: str, **request: Any) -> None:
    answer = client.request(method.upper(), address, **request)
    assert answer.status_code < 500 or answer.status_code in (503, 507), (method, address[:200], request, answer.text)
    assert "unexpected" not in answer.text, (method, address[:200], request, answer.text)


@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_odd_addresses_and_queries(
    client: LocalClient, things: dict[str, str], routes: list[tuple[str, str, dict[str, Any]]], data: st.DataObject
) -> None:
    path, method, said = data.draw(st.sampled_from(routes))
    odd = st.sampled_from(ODD)
    address = path
    for parameter in said.get("parameters", []):
        if parameter["in"] == "path":
            name = parameter["name"]
            value = data.draw(st.sampled_from([things[name]]) | odd) if name in things else data.draw(odd)
            address = address.replace(f"{{{name}}}", quote(value, safe=""))
    address = address.replace("{page}", "main.js")
    names = [parameter["name"] for parameter in said.get("parameters", []) if parameter["in"] == "query"]
    query = data.draw(st.lists(st.tuples(st.sampled_from([*names, "mpp"]), odd), max_size=3))
    text = "&".join(f"{name}={quote(value)}" for name, value in query)
    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    for name in ("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Checksum", "Last-Event-ID", "Range", "Accept",
                 "Idempotency-Key", "If-None-Match", "Content-Disposition", "Prefer"):  # fmt: skip
        if data.draw(st.booleans()):
            headers[name] = data.draw(odd).encode("latin-1", "replace").replace(b"\t", b" ").decode("latin-1")
    joined = "&" if "?" in without_wait(address) else "?"
    answer(
        client,
        method,
        f"{without_wait(address)}{joined}{text}",
        headers={k: v.encode("latin-1") for k, v in headers.items()},
    )


@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_odd_values_in_json(client: LocalClient, things: dict[str, str], data: st.DataObject) -> None:
    value = st.sampled_from(INSIDE)
    bodies: dict[str, dict[str, Any]] = {
        "/v1/analyses": {"slide": things["slide_id"], "options": {"mpp": 0.25}, "priority": 0, "webhook": {"url": "http://a"}},
        f"/v1/analyses/{things['analysis_id']}/reviews": {"action": "relabel", "target": "detection-0", "label": "mitosis",
            "reviewer": "a", "reason": "b", "box": {"x": 1, "y": 1, "width": 9, "height": 9}},
        "/v1/slides": {"path": "a.png"},
        "/v1/monailabel/infer/wsi/mitosis?image=a": {"location": [0, 0], "size": [1, 1]},
        "/v1/registry/releases": {"models": ["1.2.0"], "force": True, "because": "x"},
        "/v1/registry/shadows": {"models": ["1.2.0"], "share": 0.1},
    }  # fmt: skip
    address = data.draw(st.sampled_from(sorted(bodies)))
    body = dict(bodies[address])
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=3, unique=True)):
        inner = body[name]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            body[name] = {**inner, data.draw(st.sampled_from(sorted(inner))): data.draw(value)}
        else:
            body[name] = data.draw(value)
    answer(client, "post", address, content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b"\xff\xfe", b'"\\ud800"', b"null", b"{}" * 9],
)
def test_what_is_no_json(client: LocalClient, things: dict[str, str], content: bytes) -> None:
    for address in ("/v1/analyses", "/v1/slides", f"/v1/analyses/{things['analysis_id']}/reviews", "/v1/registry/releases",
                    "/v1/monailabel/infer/wsi/mitosis?image=a"):  # fmt: skip
        answer(client, "post", address, content=content, headers={"Content-Type": "application/json"})


def test_what_postgresql_cannot_hold(tmp_path: Path, postgres: str) -> None:
    with serving(tmp_path / "state", database=postgres) as client:
        slide = bring(client, field())
        analysis = submit(client, slide)["id"]
        wait_for_end(client, analysis)
        for text in ("\x00", "a\x00b", "\ud800"):
            review = {"action": "accept", "target": "detection-0", "reviewer": text, "reason": text}
            for address, body in {
                "/v1/analyses": {"slide": text},
                f"/v1/analyses/{analysis}/reviews": review,
                "/v1/registry/releases": {"models": [text], "force": True, "because": text},
            }.items():
                answer(client, "post", address, content=json.dumps(body), headers={"Content-Type": "application/json"})
        for address in (
            f"/v1/slides/{quote('a')}%00",
            f"/v1/analyses?slide=%00&before={2**62}",
            f"/v1/slides?after={2**62}",
        ):
            answer(client, "get", address)
