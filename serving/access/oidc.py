"""Bearer tokens of an OpenID Connect provider, checked with its published keys (RFC 7519, OpenID Connect Discovery)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from serving.access.principal import SCOPES, AuthenticationError, Principal, Scope
from serving.access.signing_keys import SigningKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair only: with a shared secret (HS256) the public key would open everything."""

LEEWAY_S = 30
"""How far the provider's clock and this one may be apart."""

_SUBJECT_LENGTH = 255
"""OpenID Connect Core, 2: `sub` has at most 255 ASCII characters."""

_NAMES = ("name", "preferred_username", "email")
"""Claims that people are called by (OpenID Connect Core, 5.1), the first that is there."""


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
    """Checks the tokens of one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._keys = SigningKeys(provider.issuer)

    def asks_provider(self, token: str) -> bool:
        """Whether `principal` may wait for the provider."""
        try:
            key_id = _key_id(token)
        except AuthenticationError:
            return False
        return not self._keys.knows(key_id)

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
                self._keys.find(_key_id(token)),
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
        return self._principal_from_claims(claims)

    def _principal_from_claims(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        if not (subject.isascii() and subject.isprintable() and 0 < len(subject) <= _SUBJECT_LENGTH):
            raise AuthenticationError("the token's subject is not 1 to 255 printable ASCII characters")
        stated = claims.get(self._provider.scope_claim, ())
        words = stated.split() if isinstance(stated, str) else list(stated) if isinstance(stated, list) else []
        scopes = frozenset[Scope](scope for scope in SCOPES if f"{self._provider.scope_prefix}{scope}" in words)
        if not scopes:
            wanted = ", ".join(f"{self._provider.scope_prefix}{scope}" for scope in SCOPES)
            raise AuthenticationError(f"the token has none of the scopes {wanted} in {self._provider.scope_claim!r}")
        name = next((claims[claim] for claim in _NAMES if isinstance(claims.get(claim), str)), "")
        limits = self._provider.requests_per_minute, self._provider.disk_quota_bytes
        return Principal(f"oidc:{subject}", scopes, *limits, name=name[:200])


def _key_id(token: str) -> str:
    """The id of the key that a token says it is signed with.

    Raises
    ------
    AuthenticationError
        If it states none, or is no token.
    """
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, RecursionError) as error:
        raise AuthenticationError(f"the token does not hold ({type(error).__name__})") from error
    if not isinstance(key_id, str) or not key_id:
        raise AuthenticationError("the token does not say which key it is signed with (kid)")
    return key_id
