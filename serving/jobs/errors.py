"""Why an analysis is not accepted, or its result is not there."""

from serving.core.errors import MitoserveError


class IdempotencyError(MitoserveError):
    """An idempotency key was used for another request before."""

    slug = "idempotency-conflict"


class NotFinishedError(MitoserveError):
    """The analysis has no result yet, or was cancelled."""

    slug = "not-finished"


LOST = (
    "the stored result of this analysis is lost or damaged and cannot be given; submit the same analysis again "
    "(POST /v1/analyses): it is computed again"
)


class ResultLostError(MitoserveError):
    """The result of an analysis was stored, and is not there any more or not what was stored."""

    slug = "result-lost"


class WebhookError(MitoserveError):
    """A webhook's address is not one that this server may call."""

    slug = "webhook-not-allowed"


class LeaseLostError(Exception):
    """The analysis was cancelled, or another worker has taken it over: nothing of it may be written any more."""
