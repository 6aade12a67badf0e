"""How far a cohort is, told from what lies at its address; no cluster is asked."""

from dataclasses import dataclass

from pydantic import ValidationError

from serving.cohort.errors import CohortError
from serving.cohort.layout import (
    COHORT,
    FAILED,
    REPORTS,
    CohortRecord,
    Failure,
    list_folder,
    parse_slide_id,
    read_failure,
)
from serving.core.validation import describe_problem
from serving.core.words import RESEARCH_USE
from serving.store.blob_store import BlobStore


@dataclass(frozen=True, slots=True)
class Status:
    """Slides of the last manifest. left : neither a report nor a reason is there."""

    slides: int
    done: int
    failed: list[Failure]
    left: int

    def summary(self) -> dict[str, object]:
        """As `--json` prints it."""
        failures = [failure.model_dump(exclude={"key"}) for failure in self.failed]
        return {
            "slides": self.slides,
            "done": self.done,
            "failed": len(self.failed),
            "left": self.left,
            "failures": failures,
            "research_use": RESEARCH_USE,
        }


def read_status(results: BlobStore) -> Status:
    """What is done, failed and left. Reports count by their names: whether they are valid, a run looks.

    Raises
    ------
    CohortError
        If there is no cohort.
    MitoserveError, OSError
        If the results cannot be read.
    """
    data = results.get(COHORT)
    if data is None:
        raise CohortError(
            f"there is no cohort at {results.address}: {COHORT} is missing; `mitoserve cohort score` makes it"
        )
    try:
        slides = {entry.id for entry in CohortRecord.model_validate_json(data).slides}
    except ValidationError as error:
        raise CohortError(
            f"{COHORT} at {results.address} is none that this release wrote: {describe_problem(error)}"
        ) from error
    reasons = (read_failure(results, parse_slide_id(name)) for name in sorted(list_folder(results, FAILED)))
    failed = [failure for failure in reasons if failure is not None and failure.slide in slides]
    reported = {parse_slide_id(name) for name in list_folder(results, REPORTS)} & slides
    done = reported - {failure.slide for failure in failed}
    return Status(len(slides), len(done), failed, len(slides) - len(done) - len(failed))
