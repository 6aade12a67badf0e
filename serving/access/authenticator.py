"""Who is let in, and how often it may ask: the one place that decides whether a request has a principal."""

import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from serving.access.keys import PREFIX, KeyStore
from serving.access.local_key import FILE, local_key
from serving.access.oidc import TokenVerifier
from serving.access.principal import LOCAL, AuthenticationError, ExpiredKeyError, Principal, TooManyRequestsError
from serving.settings import ServerSettings, SettingsError

MAX_BUCKETS = 10_000
"""Callers that are remembered; beyond it the one that asked longest ago is forgotten, so memory is bounded."""


class Buckets:
    """The buckets of all callers of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, *, per_minute: int) -> float:
        """Seconds until `caller` may ask again; 0 if it may now, which takes one token from its bucket."""
        with self._lock:
            tokens = self._tokens(caller, per_minute)
            if tokens < 1:
                return (1 - tokens) * 60 / per_minute
            self._buckets[caller] = (tokens - 1, self._clock())
            self._buckets.move_to_end(caller)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
            return 0.0

    def _tokens(self, caller: str, per_minute: int) -> float:
        tokens, since = self._buckets.get(caller, (float(per_minute), self._clock()))
        return min(per_minute, tokens + (self._clock() - since) * per_minute / 60)


FAILURES_PER_MINUTE = 60
"""Wrong credentials from one address before it must wait: enough for a client that was set up wrongly to be noticed."""

REMEMBER_S = 1.0
"""How long good credentials are not looked up again; a key that was revoked or has expired opens for so long still."""

MAX_KNOWN = 1000

_HOW = "send 'Authorization: Bearer KEY'; the server's operator makes keys with `mitoserve keys create`"


@dataclass(frozen=True, slots=True)
class Caller:
    """What a connection and its headers say of who calls."""

    address: str
    """Of the peer; empty where it is not known."""

    host: str
    """The `Host` header."""

    authorization: str | None = None
    origin: str | None = None
    """The `Origin` header: which web page sent the request."""

    forwarded: bool = False
    """A proxy's header is there, so the peer is not who calls."""


class Authenticator:
    """Lets callers in by key, by token, or by the key of this machine while nothing is set up."""

    def __init__(self, keys: KeyStore, tokens: TokenVerifier | None, settings: ServerSettings) -> None:
        self._keys, self._tokens, self._settings = keys, tokens, settings
        self._locked = tokens is not None
        self._rates, self._failures = Buckets(), Buckets()
        self._known: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._local_key: Callable[[], str] = cache(lambda: local_key(settings))

    def prepare(self) -> bool:
        """Make the key of this machine where it is what callers show; gives whether it is."""
        asked = not self.locked and self._settings.loopback_without_key == "off"
        if asked:
            self._local_key()
        return asked

    @property
    def locked(self) -> bool:
        """Whether callers must show who they are: an identity provider is set up, or a key was ever made."""
        self._locked = self._locked or self._keys.exist()
        return self._locked

    def admit(self, caller: Caller) -> Principal:
        """Who calls. Asks the database, and at times the identity provider, so it runs in a thread.

        Raises
        ------
        AuthenticationError
            If the caller does not show who it is, or what it shows does not hold.
        TooManyRequestsError
            If it asks more often than it may.
        IdentityProviderError
            If a token cannot be checked.
        """
        try:
            principal = self._principal(caller)
        except AuthenticationError:
            # Only failures count and only they are refused: behind a proxy all callers have one address.
            wait = self._failures.take(caller.address, per_minute=FAILURES_PER_MINUTE)
            if wait:
                raise TooManyRequestsError("too many requests without valid credentials", wait_s=wait) from None
            raise
        if caller.authorization is not None and principal is not LOCAL:
            self._known[caller.authorization] = principal, time.monotonic() + REMEMBER_S
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return self._count_request(principal)

    def recall(self, caller: Caller) -> Principal | None:
        """Who calls, if the same credentials were good a moment ago; asks nobody, so a flood costs little.

        Raises
        ------
        TooManyRequestsError
            If it asks more often than it may.
        """
        principal, until = self._known.get(caller.authorization or "", (None, 0.0))
        return None if principal is None or time.monotonic() > until else self._count_request(principal)

    def _count_request(self, principal: Principal) -> Principal:
        if principal.requests_per_minute is None:
            return principal
        wait = self._rates.take(principal.id, per_minute=principal.requests_per_minute)
        if wait:
            limit = principal.requests_per_minute
            raise TooManyRequestsError(f"more than {limit} requests a minute; slow down", wait_s=wait)
        return principal

    def asks_provider(self, caller: Caller) -> bool:
        """Whether `admit` may wait for the identity provider."""
        token = _token(caller.authorization) or PREFIX
        return self._tokens is not None and not token.startswith(PREFIX) and self._tokens.asks_provider(token)

    def _principal(self, caller: Caller) -> Principal:
        if not self.locked:
            return self._local(caller)
        if caller.authorization is None:
            raise AuthenticationError(f"this server asks who you are: {_HOW}")
        token = _token(caller.authorization)
        if token is None:
            raise AuthenticationError(f"the Authorization header is no bearer token: {_HOW}")
        if token.startswith(f"{PREFIX}_"):
            try:
                key = self._keys.find(token)
            except ExpiredKeyError as error:
                raise ExpiredKeyError(f"{error}: {_HOW}") from error
            if key is None:
                raise AuthenticationError(f"the key is unknown or was revoked: {_HOW}")
            return key.principal
        if self._tokens is None:
            raise AuthenticationError(f"this server takes API keys only: {_HOW}")
        return self._tokens.principal(token)

    def _local(self, caller: Caller) -> Principal:
        """The machine's own user, who can read the key of this machine; not through a proxy, nor from another site's page."""
        if self._settings.loopback_without_key == "off":
            shown = _token(caller.authorization) or ""
            if not hmac.compare_digest(shown.encode(), self._local_key().encode()):
                raise AuthenticationError(
                    "this server has no keys yet and answers whoever shows the key of its machine: open the address that "
                    "`mitoserve serve` printed, or send 'Authorization: Bearer KEY' with what `mitoserve keys local` prints "
                    f"(the file {FILE} in MITOSIS_STATE)"
                )
        if caller.forwarded or not is_loopback(caller.address) or not is_loopback(_name(f"//{caller.host}")):
            raise AuthenticationError(f"without a key this server answers its own machine only; {_HOW}")
        if caller.origin is not None and not (
            is_loopback(_name(caller.origin)) or caller.origin in self._settings.cors_origins
        ):
            raise AuthenticationError(
                "pages of other sites may call this server only if MITOSIS_CORS_ORIGINS names them"
            )
        return LOCAL


def check_binding(host: str, *, locked: bool) -> None:
    """Nothing, where a server may listen on the address `host`.

    Raises
    ------
    SettingsError
        If others could reach it and it asked nobody who they are.
    """
    if not locked and not is_loopback(host):
        raise SettingsError(
            f"the server would listen on {host} and let everybody in. Either make a key first: `mitoserve keys create "
            "NAME --scope score`; or name an identity provider: MITOSIS_OIDC_ISSUER and MITOSIS_OIDC_AUDIENCE; or "
            "listen on this machine only: --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(authorization: str | None) -> str | None:
    """The token of a bearer `Authorization` header (RFC 6750, 2.1)."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _name(address: str) -> str:
    """The host in an origin or a `//host:port`; empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
