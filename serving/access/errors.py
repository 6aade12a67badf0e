"""Why somebody is not let in."""

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
