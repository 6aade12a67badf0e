"""Bearer tokens of an OpenID Connect provider, checked with its published keys (RFC 7519, OpenID Connect Discovery)."""

import json
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import jwt

from serving.access.errors import AuthenticationError, IdentityProviderError
from serving.access.principal import SCOPES, Principal, Scope

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair only: with a shared secret (HS256) the public key would open everything."""

LEEWAY_S = 30
"""How far the provider's clock and this one may be apart."""

_TIMEOUT_S = 5
_REST_S = 10
"""After a failure the provider is not asked again for so long, so that a dead one holds up few callers."""
_SUBJECT_LENGTH = 255
"""OpenID Connect Core, 2: `sub` has at most 255 ASCII characters."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose tokens are taken and how they state scopes."""

    issuer: str
    audience: str
    scope_claim: str = "scope"
    """Claim with the scopes, separated by spaces or as a list."""

    scope_prefix: str = "mitoserve:"
    """Stands before this server's scopes among those of others: `mitoserve:score`."""

    requests_per_minute: int | None = None
    disk_quota_bytes: int | None = None


class TokenVerifier:
    """Checks the tokens of one provider; its keys are fetched when first needed and kept for minutes."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._keys: jwt.PyJWKClient | None = None
        self._rest_until = 0.0
        self._lock = threading.Lock()

    def principal(self, token: str) -> Principal:
        """Who calls with this token.

        Raises
        ------
        AuthenticationError
            If signature, issuer, audience or times do not hold, or no scope is for this server.
        IdentityProviderError
            If the provider's keys cannot be fetched.
        """
        try:
            claims = jwt.decode(
                token,
                self._signing_key(token),
                algorithms=ALGORITHMS,
                audience=self._provider.audience,
                issuer=self._provider.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise AuthenticationError("the token has expired; get a new one") from error
        except jwt.PyJWTError as error:
            # The library's words may repeat parts of the token; its class says enough.
            raise AuthenticationError(f"the token does not hold ({type(error).__name__})") from error
        return self._of(claims)

    def _signing_key(self, token: str) -> jwt.PyJWK:
        if time.monotonic() < self._rest_until:
            raise IdentityProviderError("the identity provider could not be reached a moment ago; try again soon")
        try:
            with self._lock:
                if self._keys is None:
                    self._keys = jwt.PyJWKClient(_keys_address(self._provider.issuer), timeout=_TIMEOUT_S)
            return self._keys.get_signing_key_from_jwt(token)
        except (jwt.PyJWKClientConnectionError, IdentityProviderError) as error:
            self._rest_until = time.monotonic() + _REST_S
            raise IdentityProviderError(f"the identity provider cannot be asked for its keys: {error}") from error

    def _of(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        if not (subject.isascii() and subject.isprintable() and 0 < len(subject) <= _SUBJECT_LENGTH):
            raise AuthenticationError("the token's subject is not 1 to 255 printable ASCII characters")
        stated = claims.get(self._provider.scope_claim, ())
        words = stated.split() if isinstance(stated, str) else list(stated) if isinstance(stated, list) else []
        scopes = frozenset[Scope](scope for scope in SCOPES if f"{self._provider.scope_prefix}{scope}" in words)
        if not scopes:
            wanted = ", ".join(f"{self._provider.scope_prefix}{scope}" for scope in SCOPES)
            raise AuthenticationError(f"the token has none of the scopes {wanted} in {self._provider.scope_claim!r}")
        return Principal(f"oidc:{subject}", scopes, self._provider.requests_per_minute, self._provider.disk_quota_bytes)


def _keys_address(issuer: str) -> str:
    """Where the provider publishes its keys, from its discovery document."""
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        # The issuer is the operator's setting, held to http(s) when it was read.
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:  # noqa: S310
            document = json.load(response)
        stated, keys = document["issuer"], document["jwks_uri"]
    except (URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise IdentityProviderError(f"no discovery document at {address} ({type(error).__name__})") from error
    if stated != issuer or not str(keys).startswith(("https://", "http://")):
        raise IdentityProviderError(f"{address} is of another issuer; MITOSIS_OIDC_ISSUER must be as it states it")
    return str(keys)
