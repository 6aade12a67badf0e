"""HTTP as clients speak it: HEAD, several lines of a field, types with parameters, byte order marks, browsers' rules."""

import base64
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import LocalClient
from tests.services import bring, events, field, kind, serving, submit, wait_for_end, without_wait

pytestmark = pytest.mark.integration

ORIGIN = "https://viewer.example"
NFC, NFD = (unicodedata.normalize(form, "Präparat é") for form in ("NFC", "NFD"))


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of slides that was copied from a Mac, and one slide that was not."""
    root = tmp_path_factory.mktemp("mounted")
    (root / NFD).mkdir()
    (root / NFD / f"{NFD}.png").write_bytes(field(seed=7))
    (root / f"{NFC}.png").write_bytes(field(seed=8))
    return root


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, mounted: Path) -> Iterator[LocalClient]:
    with serving(tmp_path_factory.mktemp("s") / "state", slide_root=mounted, cors_origins=(ORIGIN,)) as client:
        yield client


@pytest.fixture(scope="module")
def things(client: LocalClient) -> dict[str, str]:
    """A slide, an upload, an analysis, a project and a study, by the names that addresses give them."""
    slide = bring(client, field())
    analysis = submit(client, slide)["id"]
    assert wait_for_end(client, analysis)["state"] == "succeeded"
    begun = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": "name YS5wbmc="}
    upload = client.post("/v1/uploads", headers=begun).headers["location"].rsplit("/", 1)[1]
    project = client.post("/v1/projects", json={"name": "shared"}).json()["id"]
    me = client.get("/v1/me").json()["id"]
    read = {"name": "study", "analyses": [analysis], "readers": [{"author": me, "reviewer": "A"}]}
    study = client.post("/v1/studies", json=read).json()["id"]
    return {"study_id": study, "table": "slides", "project_id": project, "principal": me, "slide_id": slide, "upload_id": upload, "analysis_id": analysis, "name": "det", "version": "1", "number": "1",
            "level": "0", "column": "0", "row": "0", "region": "full", "size": "64,", "rotation": "0", "leaf": "default.jpg",
            "suffix": "geojson", "page": "main.js", "model": "mitosis", "use": "within"}  # fmt: skip


def test_head_is_answered_wherever_get_is(client: LocalClient, things: dict[str, str]) -> None:
    """With the status and the fields of GET, and without its body; also where the body has no end of its own."""
    paths = client.get("/openapi.json").json()["paths"]
    asked = [template for template, found in paths.items() if "get" in found and "head" not in found]
    assert {"/livez", "/readyz", "/metrics", "/v1/slides"} <= set(asked)
    for template in asked:
        address, shown = without_wait(template.format(**things)), {"Tus-Resumable": "1.0.0"}
        got, head = client.get(address, headers=shown), client.head(address, headers=shown)
        assert (template, head.status_code, head.content) == (template, got.status_code, b"")
        for name in ("content-type", "etag", "cache-control", "vary", "x-content-type-options"):
            assert (template, name, head.headers.get(name)) == (template, name, got.headers.get(name))


def test_head_of_events_that_go_on_ends(client: LocalClient) -> None:
    analysis = submit(client, bring(client, field(seed=3)))
    assert client.head(analysis["links"]["events"]).status_code in (200, 204)
    assert wait_for_end(client, analysis["id"])["state"] == "succeeded"
    assert events(client.get(analysis["links"]["events"]).text)[-1][1] == "succeeded"


def test_several_lines_of_a_field_are_one(client: LocalClient, things: dict[str, str]) -> None:
    report = f"/v1/analyses/{things['analysis_id']}/report"
    lines = [("Accept", "audio/ogg"), ("Accept", "text/csv;q=0.5, application/geo+json")]
    answer = client.get(report, headers=lines)
    assert answer.headers["content-type"].startswith("application/geo+json")
    assert "Accept" in answer.headers["vary"]
    refused = client.get(report, headers=[("Accept", "audio/ogg"), ("Accept", "audio/wav")])
    assert (refused.status_code, set(refused.headers["vary"].split(", "))) == (406, {"Accept", "Origin"})
    later = client.post(
        "/v1/score?mpp=0.25&filename=a.png",
        content=field(seed=4),
        headers=[("Prefer", "wait=10"), ("Prefer", "respond-async")],
    )
    assert later.status_code == 202


@pytest.mark.parametrize(
    "content_type", ["application/offset+octet-stream; charset=utf-8", "Application/Offset+Octet-Stream"]
)
def test_a_piece_of_an_upload_may_state_a_charset(client: LocalClient, content_type: str) -> None:
    content = field(seed=5)
    tus = {"Tus-Resumable": "1.0.0"}
    metadata = f"filename {base64.b64encode(f'{NFD}.png'.encode()).decode()}"
    begun = client.post("/v1/uploads", headers={**tus, "Upload-Length": str(len(content)), "Upload-Metadata": metadata})
    sent = client.patch(
        begun.headers["location"], content=content, headers={**tus, "Upload-Offset": "0", "Content-Type": content_type}
    )
    assert sent.status_code == 204, sent.text
    assert client.get(sent.headers["mitoserve-slide"]).json()["name"] == f"{NFC}.png"


@pytest.mark.parametrize("content_type", ["application/json", "APPLICATION/JSON; charset=utf-8"])
def test_json_may_begin_with_a_byte_order_mark_everywhere(
    client: LocalClient, things: dict[str, str], content_type: str
) -> None:
    bodies = {
        "/v1/slides": ({"path": f"{NFC}.png"}, 201),
        "/v1/analyses": ({"slide": things["slide_id"], "options": {"mpp": 0.25}}, 202),
        f"/v1/analyses/{things['analysis_id']}/reviews": ({"action": "accept", "target": "detection-0"}, 201),
        f"/v1/monailabel/infer/wsi/mitosis?image={NFC}": ({"location": [0, 0], "size": [10, 10]}, 422),
        "/v1/registry/releases": ({"models": ["1.2.0"]}, 404),
    }
    for address, (body, status) in bodies.items():
        for start in (b"", b"\xef\xbb\xbf"):
            sent = client.post(
                address, content=start + json.dumps(body).encode(), headers={"Content-Type": content_type}
            )
            assert (address, start, sent.status_code) == (address, start, status), sent.text


@pytest.mark.parametrize("written", [NFC, NFD])
def test_names_with_accents_are_found_however_they_are_written(client: LocalClient, written: str) -> None:
    """On disk as a Mac writes them, in requests as other systems do, or the other way round."""
    for path in (f"{written}/{written}.png", f"{written}.png"):
        answer = client.post("/v1/slides", json={"path": path})
        assert (path, answer.status_code) == (path, 201), answer.text
    bring(client, field(seed=9), f"{written}.png")
    assert client.head("/v1/monailabel/datastore/image", params={"image": written}).status_code == 200


def test_a_named_page_may_call_a_server_in_its_users_network(client: LocalClient) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    allowed = client.options("/v1/score", headers={"Origin": ORIGIN, **wanted})
    assert (allowed.status_code, allowed.headers["access-control-allow-private-network"]) == (200, "true")
    elsewhere = client.options("/v1/score", headers={"Origin": "https://elsewhere.example", **wanted})
    assert "access-control-allow-origin" not in elsewhere.headers
    # A cache must not give a page the answer that another was given, or none.
    for headers in ({}, {"Origin": ORIGIN}):
        assert "Origin" in client.get("/v1/models", headers=headers).headers["vary"]


def test_browsers_take_every_answer_for_what_it_says_and_run_nothing_in_it(
    client: LocalClient, things: dict[str, str]
) -> None:
    addresses = [without_wait(template.format(**things)) for template in client.get("/openapi.json").json()["paths"]]
    for address in [*addresses, "/nowhere", f"/v1/analyses/{things['analysis_id']}/report.html", "/" + "a" * 5000]:
        answer = client.get(address)
        assert (address, answer.headers["x-content-type-options"]) == (address, "nosniff")
        if answer.headers["content-type"].split(";")[0].endswith(("html", "xml", "svg")):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, address
            assert "script-src 'self'" in policy or "script-src" not in policy, address
    report = client.get(f"/v1/analyses/{things['analysis_id']}/report.html")
    assert "sandbox" in report.headers["content-security-policy"]
    assert "<style>" in report.text


@pytest.mark.parametrize(
    "address",
    ["/v1/uploads/{upload_id}", "/v1/slides?filename=a.png", "/v1/monailabel/infer/wsi_v2/mitosis", "/v1/score"],
)
def test_numbers_of_any_length_are_refused_or_read(client: LocalClient, things: dict[str, str], address: str) -> None:
    for digits in ("9" * 5000, "٣", "-1", "1e3", "", "0x10", " 1"):
        headers: Any = {"Tus-Resumable": "1.0.0", "Upload-Offset": digits.encode(), "Upload-Length": digits.encode(),
                   "Content-Type": "application/offset+octet-stream"}  # fmt: skip
        for method in ("PATCH", "POST", "PUT"):
            answer = client.request(method, address.format(**things), content=b"x", headers=headers)
            assert answer.status_code < 500, (method, digits[:20], answer.text)
    far = client.get(f"/v1/slides/{things['slide_id']}/deepzoom_files/{'9' * 1000}/0_0.jpeg")
    assert far.status_code in (400, 404)
    missing = client.post("/v1/slides", json={"path": "a" * 999})
    assert (missing.status_code, kind(missing)) == (404, "not-found")
