"""Who calls: an id, what it may do and how much, and why somebody is not let in. Owned things carry the id of their owner."""

from dataclasses import dataclass
from typing import Literal, get_args

from serving.core.errors import MitoserveError


class AuthenticationError(MitoserveError):
    """The caller did not show who it is, or what it showed does not hold."""

    slug = "unauthenticated"


class ExpiredKeyError(AuthenticationError):
    """The API key was good once and its time is over."""

    slug = "unauthenticated"


class ForbiddenError(MitoserveError):
    """The caller is known but has not the scope that this takes."""

    slug = "forbidden"


class TooManyRequestsError(MitoserveError):
    """The caller asks more often than it may."""

    slug = "too-many-requests"

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NoSuchKeyError(MitoserveError):
    """No API key has this id."""

    slug = "not-found"


class IdentityProviderError(MitoserveError):
    """The identity provider cannot be asked for its signing keys, so no token can be checked."""

    slug = "identity-provider-unavailable"


class AuditError(MitoserveError):
    """The audit log cannot be written, so what it would record is not done; or its chain is broken."""

    slug = "audit-unavailable"


Scope = Literal["read", "score", "admin"]
"""`read`: see one's own slides and analyses; `score`: also bring and remove them; `admin`: also those of others."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""From the least to the most; each includes those before it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who was let in."""

    id: str
    """`key:<id>`, `oidc:<subject>` or `local`; it owns what the principal creates."""

    scopes: frozenset[Scope]
    requests_per_minute: int | None = None
    """None: not limited."""

    disk_quota_bytes: int | None = None
    """Bytes of slides that it may keep here; None: as many as the disk holds."""

    name: str = ""
    """What people call it; nothing is decided by it, and it is in no log."""

    def may(self, scope: Scope) -> bool:
        """Whether a scope of this principal is or includes `scope`."""
        return any(held in self.scopes for held in SCOPES[SCOPES.index(scope) :])


LOCAL = Principal("local", frozenset({"admin"}))
"""Whoever calls over loopback while neither keys nor an identity provider are set up: the machine's own user."""
