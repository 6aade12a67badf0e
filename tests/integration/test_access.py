"""The app asks who calls: keys, tokens, scopes, rates, what is recorded, and what is never said."""

import functools
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from serving.access.access import AccessControl, open_access
from serving.access.authenticator import REMEMBER_S
from serving.api.app import create_app
from serving.observability.logs import JsonFormatter
from serving.settings import ServerSettings
from serving.store.database import open_database
from tests.clients import LocalClient, bearer
from tests.fakes import DotDetector
from tests.issuer import AUDIENCE, running_issuer
from tests.services import field

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(state=tmp_path / "state")


@pytest.fixture
def access(settings: ServerSettings) -> AccessControl:
    return open_access(settings)


@pytest.fixture
def client(settings: ServerSettings) -> Iterator[TestClient]:
    """A caller from elsewhere."""
    with TestClient(create_app(settings, load=DotDetector), client=("10.0.0.7", 50000)) as client:
        yield client


def kind(response: object) -> str:
    document = json.loads(getattr(response, "content", b""))
    return str(document["type"]).removeprefix("urn:mitoserve:problem:")


def test_the_own_machine_is_let_in_until_there_is_a_key(settings: ServerSettings, access: AccessControl) -> None:
    with LocalClient(create_app(settings, load=DotDetector)) as client:
        assert client.get("/v1/schema/report").status_code == 200
        access.keys.create("lab", ["read"])
        refused = client.get("/v1/schema/report")
        assert (refused.status_code, kind(refused)) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_what_is_public_needs_no_key(client: TestClient) -> None:
    for path in ("/", "/livez", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert client.get("/readyz").status_code in (200, 503)
    assert client.get("/metrics").status_code == 401
    assert client.get("/nowhere").status_code == 401


def test_scopes(client: TestClient, access: AccessControl) -> None:
    reader, _ = access.keys.create("reader", ["read"])
    scorer, _ = access.keys.create("scorer", ["score"])
    assert client.get("/metrics", headers=bearer(reader)).status_code == 200
    refused = client.post("/v1/score", headers=bearer(reader))
    assert (refused.status_code, kind(refused)) == (403, "forbidden")
    # It is let in, and then the missing slide is the error.
    assert client.post("/v1/score", headers=bearer(scorer)).status_code in (400, 503)


def test_a_key_that_has_expired_is_told_so_and_opens_nothing(client: TestClient, access: AccessControl) -> None:
    access.keys.create("lab", ["admin"])
    expired, _ = access.keys.create("guest", ["read"], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    refused = client.get("/v1/models", headers=bearer(expired))
    assert (refused.status_code, kind(refused)) == (401, "unauthenticated")
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "the key expired on 2020-01-01T00:00:00 UTC" in refused.json()["detail"]
    (record,) = access.audit.records()
    assert (record.actor, record.outcome) == ("anonymous", "401")


def test_a_rotated_key_keeps_what_it_owns(client: TestClient, access: AccessControl) -> None:
    old, key = access.keys.create("lab", ["score"])
    files = {"slide": ("a.png", field(), "image/png")}
    slide = client.post("/v1/slides", files=files, headers=bearer(old)).json()["id"]
    new, _ = access.keys.rotate(key.id, overlap=timedelta(hours=1))
    for token in (old, new):
        assert client.get(f"/v1/slides/{slide}", headers=bearer(token)).status_code == 200
    last, _ = access.keys.rotate(key.id, overlap=timedelta())
    time.sleep(REMEMBER_S + 0.1)
    refused = client.get(f"/v1/slides/{slide}", headers=bearer(new))
    assert refused.status_code == 401
    assert "replaced by a newer one" in refused.json()["detail"]
    assert client.get(f"/v1/slides/{slide}", headers=bearer(last)).status_code == 200


def test_a_token_of_the_provider_opens(settings: ServerSettings) -> None:
    with running_issuer() as issuer:
        with_provider = ServerSettings(state=settings.state, oidc_issuer=issuer.address, oidc_audience=AUDIENCE)
        with LocalClient(create_app(with_provider, load=DotDetector)) as client:
            assert client.get("/metrics").status_code == 401
            assert client.get("/metrics", headers=bearer(issuer.token())).status_code == 200
            assert client.post("/v1/score", headers=bearer(issuer.token())).status_code == 403
            assert client.get("/metrics", headers=bearer(issuer.token(aud="else"))).status_code == 401
        issuer.reachable = False
        with LocalClient(create_app(with_provider, load=DotDetector)) as client:
            refused = client.get("/metrics", headers=bearer(issuer.token()))
            assert (refused.status_code, kind(refused)) == (503, "identity-provider-unavailable")


def test_a_key_that_asks_too_often_waits_and_others_do_not(client: TestClient, access: AccessControl) -> None:
    greedy, _ = access.keys.create("greedy", ["read"], requests_per_minute=5)
    modest, _ = access.keys.create("modest", ["read"], requests_per_minute=5)
    answers = [client.get("/metrics", headers=bearer(greedy)) for _ in range(8)]
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert kind(answers[-1]) == "too-many-requests"
    assert client.get("/metrics", headers=bearer(modest)).status_code == 200


def test_what_changes_or_is_refused_is_recorded(client: TestClient, access: AccessControl) -> None:
    reader, key = access.keys.create("reader", ["read"])
    scorer, other = access.keys.create("scorer", ["score"])
    client.get("/metrics", headers=bearer(reader))
    client.post("/v1/score", headers=bearer(reader))
    client.post("/v1/score", headers={**bearer(scorer), "X-Request-ID": "r-7"})
    client.post("/v1/score")
    records = list(access.audit.records())
    assert [(r.actor, r.action.split()[0]) for r in records] == [
        (f"key:{key.id}", "POST"),
        (f"key:{other.id}", "POST"),
        ("anonymous", "POST"),
    ]
    assert [r.outcome for r in records][::2] == ["403", "401"]
    assert (records[1].action, records[1].request_id) == ("POST /v1/score", "r-7")
    assert access.audit.verify()[0] == 3


def test_nothing_is_answered_that_cannot_be_recorded(
    client: TestClient, access: AccessControl, settings: ServerSettings
) -> None:
    token, _ = access.keys.create("scorer", ["score"])
    with open_database(settings).writing() as tx:
        tx.execute(text("DROP TABLE access_audit"))
    refused = client.post("/v1/slides?filename=a.png", content=field(), headers=bearer(token))
    assert (refused.status_code, kind(refused)) == (503, "audit-unavailable")
    # What changed nothing keeps its own answer.
    assert client.post("/v1/slides?filename=a.svs", content=b"no slide", headers=bearer(token)).status_code == 415
    assert client.post("/v1/slides").status_code == 401
    assert client.get("/metrics", headers=bearer(token)).status_code == 200


def test_a_key_keeps_no_more_than_its_quota(client: TestClient, access: AccessControl) -> None:
    small, _ = access.keys.create("small", ["score"], disk_quota_bytes=len(field()) + 10)
    large, _ = access.keys.create("large", ["score"])
    post = functools.partial(client.post, "/v1/slides?filename=a.png")
    assert post(content=field(seed=1), headers=bearer(small)).status_code == 201
    refused = post(content=field(seed=2), headers=bearer(small))
    assert (refused.status_code, kind(refused)) == (507, "quota-exceeded")
    begun = {**bearer(small), "Tus-Resumable": "1.0.0", "Upload-Length": "5000", "Upload-Metadata": "name YS5wbmc="}
    assert client.post("/v1/uploads", headers=begun).status_code == 507
    assert post(content=field(seed=2), headers=bearer(large)).status_code == 201


def test_a_page_of_a_named_origin_may_call(settings: ServerSettings, access: AccessControl) -> None:
    token, _ = access.keys.create("viewer", ["read"])
    page = {"Origin": "https://viewer.example"}
    named = ServerSettings(state=settings.state, cors_origins=("https://viewer.example",))
    preflight = {**page, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    with LocalClient(create_app(named, load=DotDetector)) as client:
        answer = client.options("/v1/models", headers=preflight)
        assert answer.status_code == 200
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "authorization"
        for response in (
            client.get("/metrics", headers={**page, **bearer(token)}),
            client.get("/metrics", headers=page),
        ):
            assert response.headers["access-control-allow-origin"] == "https://viewer.example"
        elsewhere = client.options("/v1/models", headers={**preflight, "Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in elsewhere.headers
    with LocalClient(create_app(settings, load=DotDetector)) as client:
        assert "access-control-allow-origin" not in client.get("/livez", headers=page).headers


def test_requests_have_ids(client: TestClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    first, second = (client.get("/livez").headers["x-request-id"] for _ in range(2))
    assert first != second
    for unusable in ("a b", "x" * 65, 'a"b'):
        assert client.get("/livez", headers={"X-Request-ID": unusable}).headers["x-request-id"] != unusable


def test_no_name_and_no_key_is_said_to_others(
    client: TestClient, access: AccessControl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token, key = access.keys.create("lab", ["score"])
    name = "Jane-Doe-1970"
    headers = {**bearer(token), "X-Trace": name}
    client.post(f"/v1/score?filename={name}.svs&mpp=0.25", content=b"no slide", headers=headers)
    client.post("/v1/score", files={"slide": (f"{name}.svs", b"no slide")}, headers=headers)
    while client.get("/readyz").status_code != 200:
        pass  # the planted detector loads in a moment
    # It has no mpp, so the analysis fails, with an error that names it to its owner.
    failed = client.post("/v1/score", files={"slide": (f"{name}.png", field())}, headers=headers)
    assert (failed.status_code, kind(failed)) == (422, "missing-mpp")
    client.get(f"/v1/{name}.svs", headers=headers)
    client.request(name.upper(), "/v1/score", headers=headers)
    client.get(f"/v1/{name}", headers=bearer(f"{token}x"))
    formatter = JsonFormatter()
    lines = [formatter.format(record) for record in caplog.records if record.name.startswith(("mitoserve", "uvicorn"))]
    recorded = [str(record) for record in access.audit.records()]
    metrics = client.get("/metrics", headers=headers).text
    assert len(lines) >= 5
    assert len(recorded) >= 3
    for said in (*lines, *recorded, metrics):
        assert name.lower() not in said.lower()
        assert token.split("_", 2)[2] not in said
    assert any(key.id in line for line in lines)


def test_the_document_says_how_to_come_in(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in document["paths"]["/v1/score"]["post"]
