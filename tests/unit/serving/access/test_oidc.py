import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from serving.access.errors import AuthenticationError, IdentityProviderError
from serving.access.oidc import LEEWAY_S, Provider, TokenVerifier
from tests.issuer import AUDIENCE, Issuer, rsa_key, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: Issuer) -> TokenVerifier:
    return TokenVerifier(Provider(issuer.address, AUDIENCE, requests_per_minute=9))


def test_a_token_gives_a_principal(issuer: Issuer, verifier: TokenVerifier) -> None:
    principal = verifier.principal(issuer.token(scope="email mitoserve:read mitoserve:score"))
    assert principal.id == "oidc:user-1"
    assert principal.scopes == {"read", "score"}
    assert principal.requests_per_minute == 9


def test_keys_are_fetched_once(issuer: Issuer, verifier: TokenVerifier) -> None:
    for _ in range(5):
        verifier.principal(issuer.token())
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize("scope", [["mitoserve:admin"], "mitoserve:admin"])
def test_scopes_may_be_a_list_in_another_claim(issuer: Issuer, scope: object) -> None:
    verifier = TokenVerifier(Provider(issuer.address, AUDIENCE, scope_claim="roles"))
    assert verifier.principal(issuer.token(roles=scope, scope="mitoserve:read")).scopes == {"admin"}


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another-service"},
        {"exp": NOW - LEEWAY_S - 60},
        {"nbf": NOW + LEEWAY_S + 86_400},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"aud": None},
        {"iss": None},
        {"sub": ""},
        {"sub": "new\nline"},
        {"sub": "x" * 256},
        {"scope": None},
        {"scope": ""},
        {"scope": "read score admin"},
        {"scope": "mitoserve:readx"},
        {"scope": {"mitoserve:read": True}},
        {"scope": [["mitoserve:read"]]},
    ],
)
def test_wrong_claims_are_refused(issuer: Issuer, verifier: TokenVerifier, claims: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        verifier.principal(issuer.token(**claims))


def signed_with_shared_secret(token: str, secret: bytes, key_id: str) -> str:
    """The claims of `token` under HMAC with the public key as its secret, which libraries refuse to make."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": key_id}).encode()).rstrip(b"=")
    content = head + b"." + token.split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secret, content, "sha256")).rstrip(b"=")
    return (content + b"." + signature).decode()


def test_forged_tokens_are_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    public = (
        jwt.PyJWKClient(f"{issuer.address}/keys")
        .get_signing_keys()[0]
        .key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    whole = issuer.token()
    head, body, signature = whole.split(".")
    forged = [
        issuer.token(key=rsa_key("other")),
        issuer.token(algorithm="none", key=""),
        signed_with_shared_secret(whole, public, issuer.key_id),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}",
        "",
        "....",
        "\N{SNOWMAN}",
        "a" * 100_000,
    ]
    for token in forged:
        with pytest.raises(AuthenticationError) as refusal:
            verifier.principal(token)
        assert not token or token not in str(refusal.value)
    assert verifier.principal(whole).id == "oidc:user-1"


def test_a_new_signing_key_is_found(issuer: Issuer, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier.principal(issuer.token())
    issuer.rotate()
    assert verifier._keys is not None
    monkeypatch.setattr(verifier._keys, "cooldown_duration", 0)
    assert verifier.principal(issuer.token()).id == "oidc:user-1"


def test_unknown_keys_do_not_make_this_server_ask_without_end(issuer: Issuer, verifier: TokenVerifier) -> None:
    verifier.principal(issuer.token())
    issuer.key_id = "unheard-of"
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            verifier.principal(issuer.token())
    assert len(issuer.requests) == 2


def test_a_dead_provider_is_an_error_of_its_own_and_gets_rest(
    issuer: Issuer, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.reachable = False
    for _ in range(3):
        with pytest.raises(IdentityProviderError):
            verifier.principal(issuer.token())
    issuer.reachable = True
    monkeypatch.setattr(verifier, "_rest_until", 0.0)
    assert verifier.principal(issuer.token()).id == "oidc:user-1"
    assert len(issuer.requests) == 2


def test_a_provider_that_states_another_issuer_is_refused(issuer: Issuer) -> None:
    verifier = TokenVerifier(Provider(f"{issuer.address}/", AUDIENCE))
    with pytest.raises(IdentityProviderError, match="MITOSIS_OIDC_ISSUER"):
        verifier.principal(issuer.token())
