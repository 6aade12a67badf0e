"""Log-in in a browser by an OpenID Connect provider: authorization code with PKCE (RFC 6749, RFC 7636), as a public client.

The page keeps the secret of the exchange and gets the token; this server only passes the exchange on to the provider that its
operator named, so that pages need not reach the provider by scripts.
"""

import json
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from serving.access.authenticator import Buckets
from serving.access.principal import AuthenticationError, IdentityProviderError, TooManyRequestsError
from serving.access.signing_keys import REST_S, fetch_json, is_sure

FRESH_S = 300.0
"""So long the provider's addresses are used without asking for them again."""
EXCHANGES_PER_MINUTE = 60
"""Of one address: a person logs in once and renews a token every few minutes."""
_TIMEOUT_S = 5.0
_MAX_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class LoginAddresses:
    """Where the provider's pages are."""

    authorization: str
    token: str
    end_session: str | None


@dataclass(frozen=True, slots=True)
class LoginTokens:
    """What the provider gave.

    expires_in : seconds; None where it does not say
    renewal : with which another token is got; None where there is none
    """

    access: str
    expires_in: int | None
    renewal: str | None


class BrowserLogin:
    """The log-in of one provider."""

    def __init__(self, issuer: str, client_id: str, scope: str) -> None:
        self.client_id, self.scope = client_id, scope
        self._issuer = issuer
        self._found: tuple[LoginAddresses, float] | None = None
        self._failed = -math.inf
        self._lock, self._rates = threading.Lock(), Buckets()

    def addresses(self) -> LoginAddresses:
        """The provider's addresses, as its discovery document states them.

        Raises
        ------
        IdentityProviderError
            If it does not answer, or states none that can be trusted.
        """
        with self._lock:
            if self._found is None or time.monotonic() - self._found[1] > FRESH_S:
                if time.monotonic() - self._failed < REST_S:
                    raise IdentityProviderError(
                        "the identity provider could not be reached a moment ago; try again soon"
                    )
                try:
                    self._found = self._discover(), time.monotonic()
                except IdentityProviderError:
                    self._failed = time.monotonic()
                    raise
            return self._found[0]

    def exchange(self, stated: Mapping[str, str], *, caller: str) -> LoginTokens:
        """Tokens for a code, or for what renews them.

        stated : of the request to the token endpoint: grant_type and what goes with it
        caller : address that asks

        Raises
        ------
        AuthenticationError
            If the provider refuses.
        TooManyRequestsError
            If the caller asks too often.
        IdentityProviderError
            If the provider does not answer as it should.
        """
        wait = self._rates.take(caller, per_minute=EXCHANGES_PER_MINUTE)
        if wait:
            raise TooManyRequestsError("too many log-ins from this address", wait_s=wait)
        status, document = _post(self.addresses().token, {**stated, "client_id": self.client_id})
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            raise AuthenticationError("the identity provider does not accept this log-in, or it is over; log in again")
        access, renewal, lasts = (document.get(name) for name in ("access_token", "refresh_token", "expires_in"))
        if status != httpx.codes.OK or not isinstance(access, str):
            raise IdentityProviderError(f"the identity provider gives no token (status {status})")
        return LoginTokens(
            access, lasts if isinstance(lasts, int) else None, renewal if isinstance(renewal, str) else None
        )

    def _discover(self) -> LoginAddresses:
        document = fetch_json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        stated = [document.get(f"{name}_endpoint") for name in ("authorization", "token", "end_session")]
        pages, token, end = (each if isinstance(each, str) and is_sure(each, self._issuer) else None for each in stated)
        if document.get("issuer") != self._issuer or pages is None or token is None:
            raise IdentityProviderError("the identity provider states no addresses by https at which one can log in")
        return LoginAddresses(pages, token, end)


def _post(address: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer, within a time and a size; a redirect is not followed: it may lead anywhere."""
    content = b""
    try:
        with (
            httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client,
            client.stream("POST", address, data=dict(form), headers={"Accept": "application/json"}) as answer,
        ):
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MAX_BYTES:
                    raise ValueError("too large")
        document = json.loads(content)
        return answer.status_code, document if isinstance(document, dict) else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise IdentityProviderError(
            f"the identity provider cannot be asked for a token ({type(error).__name__})"
        ) from error
