"""Why a cohort cannot be scored, or one of its slides; each kind says whether another try may help."""

from dataclasses import dataclass

from serving.core.errors import BusyError, MitoserveError, ModelError, RequestError, StorageError, is_disk_full
from serving.store.blob_store import BlobStoreError
from serving.store.errors import MissingSlideError, UnavailableError

__all__ = [
    "CohortError",
    "ManifestError",
    "MissingSlideError",
    "SlideProblem",
    "TimeLimitError",
    "UnavailableError",
    "WorkerDiedError",
    "describe_problem",
]


class CohortError(MitoserveError):
    """Nothing of the cohort can be scored: no cluster, no manifest, no place for results."""

    slug = "internal-error"


class ManifestError(RequestError):
    """The manifest cannot be used; the message has a line for each of its errors."""

    slug = "malformed-request"


class WorkerDiedError(MitoserveError):
    """The worker that scored the slide ended."""

    slug = "worker-died"


class TimeLimitError(MitoserveError):
    """The slide took far longer than slides of its size do."""

    slug = "time-limit"


_PASSING = (UnavailableError, WorkerDiedError, TimeLimitError, StorageError, BusyError, ModelError)
"""What another try, on another worker or a moment later, may not meet."""


@dataclass(frozen=True, slots=True)
class SlideProblem:
    """What went wrong with one slide.

    kind : the slug of a problem, as in the server's problem documents
    passing : whether another try may succeed
    """

    kind: str
    detail: str
    passing: bool


def describe_problem(error: BaseException) -> SlideProblem:
    """What an error means for a slide."""
    if isinstance(error, BlobStoreError):
        return SlideProblem(UnavailableError.slug, str(error), passing=True)
    if isinstance(error, MitoserveError):
        return SlideProblem(error.slug, str(error), isinstance(error, _PASSING))
    if isinstance(error, OSError) and is_disk_full(error):
        return SlideProblem(
            "disk-full", f"no room is left for the slide or its result ({error.strerror})", passing=True
        )
    if isinstance(error, OSError):
        return SlideProblem(UnavailableError.slug, f"{type(error).__name__}: {error}", passing=True)
    return SlideProblem("internal-error", f"{type(error).__name__}: {str(error)[:500]}", passing=True)
