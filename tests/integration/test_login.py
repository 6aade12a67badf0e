"""The exchange of a browser's log-in, against a provider that checks what it must."""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from serving.access.login import EXCHANGES_PER_MINUTE
from tests.clients import LocalClient, bearer
from tests.issuer import AUDIENCE, CLIENT, Issuer, running_issuer
from tests.services import kind, serving

pytestmark = pytest.mark.integration

BACK = "http://localhost/viewer/login.html"


def settings(issuer: Issuer) -> dict[str, Any]:
    return {"oidc_issuer": issuer.address, "oidc_audience": AUDIENCE, "oidc_client_id": CLIENT}


def log_in(issuer: Issuer) -> tuple[str, str]:
    """A code, and the verifier of the challenge that it was asked for with."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {"response_type": "code", "client_id": CLIENT, "redirect_uri": BACK, "state": "s"}
    back = issuer.authorize({**asked, "code_challenge": challenge, "code_challenge_method": "S256"}, "ann")
    return parse_qs(urlsplit(back).query)["code"][0], verifier


def send(client: LocalClient, **wanted: str) -> Any:
    return client.post("/v1/login/token", json=wanted)


def test_a_code_opens_once_and_for_its_browser_alone(tmp_path: Path) -> None:
    with running_issuer() as issuer, serving(tmp_path / "state", **settings(issuer)) as client:
        stated = client.get("/v1/login").json()["provider"]
        assert stated["authorization_endpoint"] == f"{issuer.address}/authorization"
        code, verifier = log_in(issuer)
        given = send(client, code=code, code_verifier=verifier, redirect_uri=BACK)
        assert given.headers["cache-control"] == "no-store"
        me = client.get("/v1/me", headers=bearer(given.json()["access_token"])).json()
        assert (me["id"], me["name"], me["shown"]) == ("oidc:ann", "ann", "token")
        assert kind(send(client, code=code, code_verifier=verifier, redirect_uri=BACK)) == "unauthenticated"
        stolen, _ = log_in(issuer)
        other = secrets.token_urlsafe(48)
        assert kind(send(client, code=stolen, code_verifier=other, redirect_uri=BACK)) == "unauthenticated"
        assert kind(send(client, code="a", code_verifier="short", redirect_uri=BACK)) == "malformed-request"
        renewed = send(client, refresh_token=given.json()["refresh_token"]).json()
        assert client.get("/v1/me", headers=bearer(renewed["access_token"])).json()["id"] == "oidc:ann"


def test_exchanges_are_bounded_and_a_silent_provider_is_said(tmp_path: Path) -> None:
    with running_issuer() as issuer, serving(tmp_path / "state", **settings(issuer)) as client:
        answers = [send(client, refresh_token="renews-ann").status_code for _ in range(2 * EXCHANGES_PER_MINUTE)]
        assert answers[:EXCHANGES_PER_MINUTE] == [200] * EXCHANGES_PER_MINUTE
        assert 429 in answers
    with running_issuer() as issuer, serving(tmp_path / "other", **settings(issuer)) as client:
        issuer.reachable = False
        assert kind(client.get("/v1/login")) == "identity-provider-unavailable"


def test_without_a_provider_keys_alone_open(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as client:
        assert client.get("/v1/login").json() == {"provider": None}
        assert kind(send(client, refresh_token="x")) == "not-found"
