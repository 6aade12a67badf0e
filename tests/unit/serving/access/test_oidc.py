import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from serving.access import signing_keys
from serving.access.oidc import LEEWAY_S, Provider, TokenVerifier
from serving.access.principal import AuthenticationError, IdentityProviderError
from tests.examples import draw_examples
from tests.issuer import AUDIENCE, Issuer, rsa_key, running_issuer
from tests.limits import LONGEST_S


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
    monkeypatch.setattr(signing_keys, "COOLDOWN_S", 0.0)
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
    monkeypatch.setattr(signing_keys, "REST_S", 0.0)
    assert verifier.principal(issuer.token()).id == "oidc:user-1"
    assert len(issuer.requests) == 2


def test_a_provider_that_states_another_issuer_is_refused(issuer: Issuer) -> None:
    verifier = TokenVerifier(Provider(f"{issuer.address}/", AUDIENCE))
    with pytest.raises(IdentityProviderError, match="MITOSIS_OIDC_ISSUER"):
        verifier.principal(issuer.token())


@draw_examples(15)
@given(kids=st.lists(st.text(min_size=1, max_size=20).filter(lambda kid: kid != "first"), min_size=1, max_size=8))
def test_tokens_with_made_up_keys_hold_up_no_good_one(kids: list[str]) -> None:
    """However many there are, and whatever the provider does meanwhile: fails at once, or does not answer at all."""
    with running_issuer() as issuer:
        verifier = TokenVerifier(Provider(issuer.address, AUDIENCE))
        good = issuer.token()
        verifier.principal(good)
        verifier._keys._fetched -= signing_keys.COOLDOWN_S + 1
        issuer.reachable = False
        for kid in kids:
            issuer.key_id = kid
            with pytest.raises((AuthenticationError, IdentityProviderError)):
                verifier.principal(issuer.token())
            assert not verifier.asks_provider(good)
            assert verifier.principal(good).id == "oidc:user-1"


def test_a_good_token_waits_for_nobody_who_waits_for_the_provider(
    issuer: Issuer, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = issuer.token()
    verifier.principal(good)
    issuer.key_id = "unheard-of"
    bad, answer = issuer.token(), issuer.document
    asked, go_on = threading.Event(), threading.Event()

    def waiting(path: str) -> dict[str, object] | None:
        asked.set()
        go_on.wait(LONGEST_S)
        return answer(path)

    monkeypatch.setattr(issuer, "document", waiting)
    verifier._keys._fetched -= signing_keys.COOLDOWN_S + 1
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(verifier.principal, bad)
        assert asked.wait(LONGEST_S)
        assert verifier.principal(good).id == "oidc:user-1"
        verifier._keys._fetched -= signing_keys.FRESH_S + 1  # and one whose keys should be renewed
        assert verifier.principal(good).id == "oidc:user-1"
        assert not held.done()
        issuer.key_id = "first"
        go_on.set()
        with pytest.raises((AuthenticationError, IdentityProviderError)):
            held.result()


def test_a_key_that_was_withdrawn_opens_no_more(issuer: Issuer, verifier: TokenVerifier) -> None:
    old = issuer.token()
    verifier.principal(old)
    issuer.rotate()
    assert verifier.principal(old).id == "oidc:user-1"
    verifier._keys._fetched -= signing_keys.FRESH_S + 1
    with pytest.raises(AuthenticationError):
        verifier.principal(old)


@pytest.mark.parametrize(
    "keys",
    [
        "http://keys.example/keys",
        "ftp://127.0.0.1/keys",
        "http://127.0.0.1.example/keys",
        "file:///etc/passwd",
        "//keys.example",
        "",
        7,
        None,
    ],
)
def test_keys_come_by_tls_or_from_this_machine(issuer: Issuer, monkeypatch: pytest.MonkeyPatch, keys: object) -> None:
    monkeypatch.setattr(issuer, "document", lambda _: {"issuer": issuer.address, "jwks_uri": keys})
    with pytest.raises(IdentityProviderError):
        TokenVerifier(Provider(issuer.address, AUDIENCE)).principal(issuer.token())


def test_an_issuer_elsewhere_has_no_keys_on_this_machine() -> None:
    assert not signing_keys.is_sure("http://127.0.0.1:9/keys", "https://login.example")
    assert signing_keys.is_sure("https://keys.example/keys", "https://login.example")


@pytest.mark.parametrize("content", [{"keys": "none"}, {"keys": [{"kty": "RSA"}]}, {}, {"keys": [7]}, {"keys": None}])
def test_what_is_no_set_of_keys_is_the_providers_fault(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, content: dict[str, object]
) -> None:
    answer = issuer.document
    monkeypatch.setattr(issuer, "document", lambda path: content if path == "/keys" else answer(path))
    with pytest.raises((IdentityProviderError, AuthenticationError)):
        TokenVerifier(Provider(issuer.address, AUDIENCE)).principal(issuer.token())
