"""The public keys that an identity provider publishes: fetched when first needed, again after minutes, and for unknown ids.

A key that is known is given without asking anybody, and while it is renewed too: who sends tokens with made-up key ids, or a
provider that is slow, holds up nobody whose key is known.
"""

import ipaddress
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from serving.access.principal import AuthenticationError, IdentityProviderError

FRESH_S = 300.0
"""So long a key is used without asking whether it is still published."""
STALE_S = 3600.0
"""So long it is used where the provider does not answer: a key that was withdrawn opens for an hour at most."""
COOLDOWN_S = 30.0
"""Between two questions for keys that are not known."""
REST_S = 10.0
"""After a failure the provider is not asked again for so long, so that a dead one holds up few callers."""

_TIMEOUT_S = 5.0
_MAX_BYTES = 2**20
_LOOPBACK_NAMES = ("localhost",)


class SigningKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched, self._failed = float("-inf"), float("-inf")
        self._lock = threading.Lock()

    def knows(self, key_id: str) -> bool:
        """Whether the key can be given without asking the provider."""
        return key_id in self._keys and time.monotonic() - self._fetched < FRESH_S

    def find(self, key_id: str) -> jwt.PyJWK:
        """The key of this id.

        Raises
        ------
        AuthenticationError
            If the provider publishes none.
        IdentityProviderError
            If it has to be asked and does not answer as it should.
        """
        known, age = self._keys.get(key_id), time.monotonic() - self._fetched
        if known is not None and age < FRESH_S:
            return known
        if known is not None and age < STALE_S:
            return self._renew(key_id, known)
        with self._lock:
            if key_id not in self._keys or time.monotonic() - self._fetched >= STALE_S:
                self._ask_again()
        if key_id not in self._keys:
            raise AuthenticationError("the token's key is none of those that the identity provider publishes")
        return self._keys[key_id]

    def _renew(self, key_id: str, known: jwt.PyJWK) -> jwt.PyJWK:
        """The key as the provider publishes it now; as it is known where another caller asks already, or nobody answers."""
        if time.monotonic() - self._failed < REST_S or not self._lock.acquire(blocking=False):
            return known
        try:
            self._fetch()
        except IdentityProviderError:
            return known
        finally:
            self._lock.release()
        if key_id not in self._keys:
            raise AuthenticationError("the token's key was withdrawn by the identity provider")
        return self._keys[key_id]

    def _ask_again(self) -> None:
        """Fetch the keys for one that is not known, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._failed < REST_S:
            raise IdentityProviderError("the identity provider could not be reached a moment ago; try again soon")
        if now - self._fetched >= COOLDOWN_S:
            self._fetch()

    def _fetch(self) -> None:
        try:
            self._keys = _fetch_keys(self._issuer)
        except IdentityProviderError:
            self._failed = time.monotonic()
            raise
        self._fetched = time.monotonic()


def _fetch_keys(issuer: str) -> dict[str, jwt.PyJWK]:
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    document = fetch_json(address)
    stated, keys = document.get("issuer"), document.get("jwks_uri")
    if stated != issuer or not isinstance(keys, str):
        raise IdentityProviderError(f"{address} is of another issuer; MITOSIS_OIDC_ISSUER must be as it states it")
    if not is_sure(keys, issuer):
        raise IdentityProviderError(f"{address} states an address of its keys without https; they would prove nothing")
    try:
        found = jwt.PyJWKSet.from_dict(fetch_json(keys)).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise IdentityProviderError(
            f"what is published at {keys} is no set of keys ({type(error).__name__})"
        ) from error
    return {key.key_id: key for key in found if key.key_id and key.public_key_use in (None, "sig")}


def is_sure(address: str, issuer: str) -> bool:
    """Whether what an address gives comes from where it says: by TLS, or on this machine, as the issuer itself."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and _is_loopback(parts.hostname) and _is_loopback(urlsplit(issuer).hostname)


def _is_loopback(host: str | None) -> bool:
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def fetch_json(address: str) -> dict[str, Any]:
    """The JSON object at an address, within a time and a size; a redirect is not followed: it may lead anywhere."""
    deadline, content = time.monotonic() + _TIMEOUT_S, b""
    try:
        with (
            httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client,
            client.stream("GET", address, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"status {answer.status_code}")
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MAX_BYTES or time.monotonic() > deadline:
                    raise ValueError("too large or too slow")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise TypeError("no object")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, RecursionError) as error:
        raise IdentityProviderError(
            f"the identity provider cannot be asked for its keys: {address} gives none ({type(error).__name__})"
        ) from error
    return document
