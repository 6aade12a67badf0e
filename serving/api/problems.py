"""Errors become HTTP here and nowhere else: problem+json documents (RFC 9457)."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, StatementError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.api.routes import route_template
from serving.core.errors import BusyError, MitoserveError, ModelError, is_disk_full
from serving.observability import metrics

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 30
"""Seconds until a refused client should try again: about one small slide on a CPU."""

_log = logging.getLogger("mitoserve.http")


class NotAcceptableError(MitoserveError):
    """The client accepts none of the formats on offer."""

    slug = "not-acceptable"


class StalledError(MitoserveError):
    """The client stopped sending in the middle of a body, or sends hardly anything."""

    slug = "upload-stalled"


class BodyTooLargeError(MitoserveError):
    """The request's body is larger than any that this address has a use for."""

    slug = "body-too-large"


class AddressTooLongError(MitoserveError):
    """The request's address or its query is longer than any that this server has a use for."""

    slug = "address-too-long"


class MethodError(MitoserveError):
    """The address does not take this method."""

    slug = "method-not-allowed"


class FailedAnalysisError(MitoserveError):
    """An analysis ended with an error, which is the answer to whoever asks for its result; `slug` is that of the error."""

    slug = "internal-error"

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug


class NoSuchModelError(MitoserveError):
    """A model that this server does not serve was asked for."""

    slug = "not-found"


class NoSuchTileError(MitoserveError):
    """A tile outside the slide's pyramid was asked for."""

    slug = "not-found"


class NoSuchPageError(MitoserveError):
    """A file that the web viewer does not have was asked for."""

    slug = "not-found"


class HeadersTooLargeError(MitoserveError):
    """The request's headers are larger than any that this server has a use for."""

    slug = "headers-too-large"


class StoppingError(BusyError):
    """The server stops before the analysis that the request waits for has ended."""

    slug = "busy"

    def __init__(self, location: str) -> None:
        super().__init__(f"the server stops; the analysis goes on when it is back, ask for it at {location}")
        self.location = location


class NotReadyError(MitoserveError):
    """The server runs but should not be sent work."""

    slug = "not-ready"


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Kind of the error, a stable URN: urn:mitoserve:problem:<kind>.")
    title: str = Field(description="The kind in words; the same for every error of the kind.")
    status: int = Field(description="HTTP status code.")
    detail: str = Field(description="What is wrong with this request and what to do.")
    instance: str | None = Field(default=None, description="Identifies this occurrence in the server's log.")


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """An error's HTTP status and its title."""

    status: int
    title: str


KINDS: Mapping[str, ProblemKind] = {
    "malformed-request": ProblemKind(400, "The request is malformed"),
    "empty-upload": ProblemKind(400, "The upload is empty"),
    "unauthenticated": ProblemKind(401, "The server does not know who you are"),
    "forbidden": ProblemKind(403, "You may not do this"),
    "not-found": ProblemKind(404, "There is nothing at this address"),
    "method-not-allowed": ProblemKind(405, "This address does not take this method"),
    "not-exportable": ProblemKind(422, "The analysis cannot be had in this format"),
    "not-acceptable": ProblemKind(406, "No format on offer is acceptable"),
    "upload-stalled": ProblemKind(408, "The body of the request stalled"),
    "slide-in-use": ProblemKind(409, "An analysis needs the slide"),
    "slide-shared": ProblemKind(409, "Several owners have the slide"),
    "not-finished": ProblemKind(409, "The analysis has no result"),
    "study-unfinished": ProblemKind(409, "You have slides of the study to read"),
    "reading-conflict": ProblemKind(409, "The readings of the analysis do not allow it"),
    "counts-changed": ProblemKind(409, "The counts are not those that were seen"),
    "offset-conflict": ProblemKind(409, "The upload is at another offset"),
    "model-conflict": ProblemKind(409, "It does not go with the models that are kept"),
    "upload-elsewhere": ProblemKind(409, "Another server receives the upload"),
    "result-lost": ProblemKind(410, "The result of the analysis is lost"),
    "slide-damaged": ProblemKind(410, "The stored slide is damaged"),
    "upload-gone": ProblemKind(410, "The upload has expired"),
    "tus-version": ProblemKind(412, "Another version of tus is spoken here"),
    "slide-too-large": ProblemKind(413, "The slide is too large"),
    "body-too-large": ProblemKind(413, "The body of the request is too large"),
    "address-too-long": ProblemKind(414, "The address is too long"),
    "unsupported-format": ProblemKind(415, "Not a slide format"),
    "bad-archive": ProblemKind(422, "The archive cannot be used"),
    "decoder-died": ProblemKind(422, "Reading the slide ended its reader"),
    "not-mounted": ProblemKind(422, "The path is not in the server's folder of slides"),
    "slide-changed": ProblemKind(422, "The mounted slide has changed"),
    "idempotency-conflict": ProblemKind(422, "The idempotency key belongs to another request"),
    "webhook-not-allowed": ProblemKind(422, "The webhook's address is not allowed"),
    "model-refused": ProblemKind(422, "The model may not serve on this machine"),
    "unreadable-slide": ProblemKind(422, "The slide cannot be read"),
    "missing-mpp": ProblemKind(422, "The slide states no resolution"),
    "mpp-out-of-range": ProblemKind(422, "The resolution is out of range"),
    "roi-outside-slide": ProblemKind(422, "The region of interest is outside the slide"),
    "too-many-requests": ProblemKind(429, "You ask too often"),
    "headers-too-large": ProblemKind(431, "The headers are too large"),
    "upload-locked": ProblemKind(423, "Another request writes to the upload"),
    "checksum-mismatch": ProblemKind(460, "The checksum does not match"),
    "internal-error": ProblemKind(500, "The server failed"),
    "worker-died": ProblemKind(500, "The worker ended"),
    "identity-provider-unavailable": ProblemKind(503, "Tokens cannot be checked"),
    "audit-unavailable": ProblemKind(503, "What is done cannot be recorded"),
    "model-unavailable": ProblemKind(503, "The models are not available"),
    "not-ready": ProblemKind(503, "The server should not be sent work now"),
    "busy": ProblemKind(503, "The server is busy"),
    "storage-unavailable": ProblemKind(503, "The storage of slides does not answer"),
    "time-limit": ProblemKind(504, "The slide took too long"),
    "quota-exceeded": ProblemKind(507, "The owner's quota is used up"),
    "disk-full": ProblemKind(507, "The server has no room for the slide"),
}
"""Every kind that an error may state; the metrics' label takes no other value. Some are of cohorts alone, which no route runs."""


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem+json response."""
    for kind, handler in {**_HANDLERS, Exception: _answer_unexpected}.items():
        app.add_exception_handler(kind, handler)


def responses(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that may end in these kinds of errors; any other is under `default`."""
    by_status: dict[int | str, list[str]] = {}
    for slug in slugs:
        by_status.setdefault(KINDS[slug].status, []).append(KINDS[slug].title)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    stated: dict[int | str, dict[str, Any]] = {
        status: {"description": "; ".join(titles), "content": content} for status, titles in by_status.items()
    }
    return stated | {"default": {"description": "Any other error", "content": content}}


def problem(
    slug: str, detail: str, *, headers: Mapping[str, str] | None = None, instance: str | None = None
) -> Response:
    """The response for an error of the kind `slug`, counted in the metrics."""
    kind = KINDS.get(slug, KINDS["internal-error"])
    metrics.count_error(slug if slug in KINDS else "internal-error")
    body = Problem(
        type=f"urn:mitoserve:problem:{slug}", title=kind.title, status=kind.status, detail=detail, instance=instance
    )
    stated = {"X-Content-Type-Options": "nosniff", **(headers or {})}  # a 500 leaves outside of every middleware
    return Response(body.model_dump_json(exclude_none=True), kind.status, stated, MEDIA_TYPE)


async def answer(request: Request, error: Exception) -> Response:
    """The response for an error that the caller handles itself, to add headers to it."""
    for kind, handler in _HANDLERS.items():
        if isinstance(error, kind):
            return await handler(request, error)
    raise error


async def _answer_intended(_: Request, error: Exception) -> Response:
    if not isinstance(error, MitoserveError):
        raise error
    headers = {}
    if isinstance(error, BusyError | ModelError | NotReadyError):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, StoppingError):
        headers["Location"] = error.location
    if isinstance(error, NotAcceptableError):
        headers["Vary"] = "Accept"
    return problem(error.slug, str(error), headers=headers)


async def _answer_invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem("malformed-request", "; ".join(_fault(fault) for fault in error.errors()))


def _fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in fault["loc"][1:])[:80]
    if fault["type"] == "extra_forbidden":
        return f"unknown option {where!r}; /openapi.json lists the options"
    return f"{where}: {fault['msg']}"


async def _answer_protocol(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "malformed-request")
    detail = {
        "not-found": "No such address; /openapi.json lists all of them.",
        "method-not-allowed": f"{request.method[:20]} is not for this address; the Allow header names what is.",
    }.get(slug, str(error.detail))
    return problem(slug, detail, headers=error.headers)


async def _answer_client_gone(_: Request, __: Exception) -> Response:
    return problem("malformed-request", "The client went away before its request was complete.")


async def _answer_os_error(request: Request, error: Exception) -> Response:
    if isinstance(error, OSError) and is_disk_full(error):
        _log.error("no room for an upload: %s", error.strerror)
        return problem(
            "disk-full",
            "The server's disk is full. Try again later; its operator can set MITOSIS_STATE to a larger one.",
        )
    return await _answer_unexpected(request, error)


async def _answer_unfit_value(request: Request, error: Exception) -> Response:
    """A value that no column can hold is the caller's: a number beyond 64 bits, a NUL or half a surrogate pair in a text."""
    cause = error.orig if isinstance(error, StatementError) else error
    if isinstance(error, DataError) or isinstance(cause, OverflowError | UnicodeError):
        return problem(
            "malformed-request", "The request holds a number or a character that cannot be stored; correct it."
        )
    return await _answer_unexpected(request, error)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    instance = f"urn:uuid:{uuid.uuid4()}"
    # The route's template and not the address: a client may have put a slide's name into that.
    _log.error("%s %s failed, %s", request.method, route_template(request.scope), instance, exc_info=error)
    return problem(
        "internal-error", f"An unexpected error; the server's log has it under {instance}.", instance=instance
    )


_HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    MitoserveError: _answer_intended,
    RequestValidationError: _answer_invalid,
    HTTPException: _answer_protocol,
    ClientDisconnect: _answer_client_gone,
    OSError: _answer_os_error,
    StatementError: _answer_unfit_value,
    OverflowError: _answer_unfit_value,
    UnicodeError: _answer_unfit_value,
}
