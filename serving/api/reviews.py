"""`/v1/analyses/{id}/reviews`: what people say of a result, beside it."""

from dataclasses import asdict
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, Response

from serving.api.analysis import iso
from serving.api.answers import BINARY
from serving.api.owners import request_owner, visible_owner
from serving.api.problems import responses
from serving.api.results import ResultCache
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.report import Report
from serving.core.research_use import RESEARCH_USE
from serving.review.agreement import agreements
from serving.review.corrections import corrections
from serving.review.review_entry import LABELS, Action, ReviewEntry
from serving.review.review_store import ReviewChange, ReviewStore
from serving.review.verdicts import collect_verdicts, find_added_boxes, tally


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BoxView(_Part):
    """Level-0 px, (x, y) top left."""

    x: float = Field(allow_inf_nan=False)
    y: float = Field(allow_inf_nan=False)
    width: float = Field(gt=0, allow_inf_nan=False)
    height: float = Field(gt=0, allow_inf_nan=False)


class ReviewRequest(_Part):
    """One thing to record. It is never changed; `undo` takes it back and stays on record too."""

    action: Action
    target: str = Field(
        "",
        max_length=40,
        description="`detection-7` or `candidate-7` of the report, `added-12`, or the number of the entry to undo.",
    )
    box: BoxView | None = Field(None, description="Of `add`.")
    label: str | None = Field(None, description=f"Of `relabel` and `add`: {', '.join(LABELS)}.")
    reason: str = Field("", max_length=2000)
    reviewer: str = Field("", max_length=80, description="Tells apart several people who use one key.")

    @model_validator(mode="after")
    def _fits(self) -> "ReviewRequest":
        if (self.action == "add") != (self.box is not None):
            raise ValueError("a box goes with add and with nothing else")
        if self.action == "relabel" and self.label is None:
            raise ValueError("relabel needs a label")
        if self.label is not None and (self.label not in LABELS or self.action not in ("relabel", "add")):
            raise ValueError(f"a label goes with relabel and add, and is one of {', '.join(LABELS)}")
        return self


class EntryView(_Part):
    """An entry of the record."""

    number: int
    at: str = Field(description="UTC, ISO 8601.")
    author: str = Field(description="Whose key was shown.")
    reviewer: str
    action: Action
    target: str
    box: BoxView | None
    label: str | None
    reason: str


class TallyView(_Part):
    """A reviewer's counts; the model's are not in them."""

    author: str
    reviewer: str
    accepted: int
    rejected: int
    added: int
    unjudged: int
    mitotic_figures: int = Field(description="Accepted and added.")
    after_review: int = Field(description="The model's figures without those rejected, with those added.")


class AgreementView(_Part):
    """How far two reviewers agree on what both judged."""

    first: tuple[str, str]
    second: tuple[str, str]
    judged_by_both: int
    agreed: int
    kappa: float | None = Field(description="Cohen's; null where it is not defined.")


class ReviewView(_Part):
    """All that was said of an analysis."""

    you: str = Field(description="Who asks: the `author` of what they record.")
    model_mitotic_figures: int = Field(description="Of the report, whatever reviewers say.")
    labels: dict[str, bool] = Field(
        description="What objects may be called, and whether it counts as a mitotic figure."
    )
    entries: list[EntryView]
    reviewers: list[TallyView]
    agreement: list[AgreementView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/reviews",
    summary="What reviewers say",
    responses=responses("not-found", "not-finished", "busy"),
)
async def read(workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str) -> ReviewView:
    """The record, each reviewer's counts, and how far they agree."""
    owner = visible_owner(request)
    you = request_owner(request)
    return await run_sync(lambda: _view(workload, results, analysis_id, owner=owner, you=you))


@router.post(
    "/v1/analyses/{analysis_id}/reviews",
    summary="Accept, reject, relabel, add or undo",
    status_code=201,
    response_model=EntryView,
    responses=responses("malformed-request", "not-found", "not-finished", "busy"),
)
async def record(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: ReviewRequest
) -> Response:
    """Adds an entry to the record; the result stays as it is."""
    owner, author = visible_owner(request), request_owner(request)
    box = None if wanted.box is None else (wanted.box.x, wanted.box.y, wanted.box.width, wanted.box.height)
    change = ReviewChange(author, wanted.reviewer, wanted.action, wanted.target, box, wanted.label, wanted.reason)

    def recorded() -> ReviewEntry:
        job, analysis = results.get(analysis_id, owner=owner)
        return ReviewStore(workload.database).record(job.id, change, report=analysis.report)

    entry = await run_sync(recorded)
    return JSONResponse(_entry(entry).model_dump(mode="json"), 201)


@router.get(
    "/v1/analyses/{analysis_id}/corrections",
    summary="Corrections as training data",
    response_class=Response,
    responses={
        200: {"description": "GeoJSON as QuPath reads it", "content": {"application/geo+json": BINARY}},
        **responses("not-found", "not-finished", "busy"),
    },
)
async def export(
    workload: ServingWorkload,
    results: ServingResults,
    request: Request,
    analysis_id: str,
    reviewer: Annotated[str | None, Query(max_length=80, description="Only theirs; else most decide.")] = None,
) -> Response:
    """What was judged, as mitotic figure or not; `python -m training import qupath` reads it."""
    owner = visible_owner(request)

    def made() -> tuple[Report, bytes]:
        job, analysis = results.get(analysis_id, owner=owner)
        entries = ReviewStore(workload.database).entries(job.id)
        found = {who: own for who, own in collect_verdicts(entries).items() if reviewer in (None, who[1])}
        return analysis.report, corrections(analysis.report, found, find_added_boxes(entries))

    report, content = await run_sync(made)
    headers = {"Content-Disposition": f'attachment; filename="{report.analysis_id}-corrections.geojson"'}
    return Response(content, media_type="application/geo+json", headers=headers)


def _view(workload: Workload, results: ResultCache, analysis_id: str, *, owner: str | None, you: str) -> ReviewView:
    job, analysis = results.get(analysis_id, owner=owner)
    entries = ReviewStore(workload.database).entries(job.id)
    verdicts = collect_verdicts(entries)
    tallies = [tally(who, own, len(analysis.report.detections)) for who, own in sorted(verdicts.items())]
    return ReviewView(
        you=you,
        model_mitotic_figures=analysis.report.counts.mitotic_figures,
        labels=LABELS,
        entries=[_entry(entry) for entry in entries],
        reviewers=[
            TallyView(**asdict(t), mitotic_figures=t.mitotic_figures, after_review=t.after_review) for t in tallies
        ],
        agreement=[AgreementView(**asdict(a)) for a in agreements(verdicts)],
    )


def _entry(entry: ReviewEntry) -> EntryView:
    box = None
    if entry.box is not None:
        x, y, width, height = entry.box
        box = BoxView(x=x, y=y, width=width, height=height)
    return EntryView(
        number=entry.number,
        at=iso(entry.at),
        author=entry.author,
        reviewer=entry.reviewer,
        action=entry.action,
        target=entry.target,
        box=box,
        label=entry.label,
        reason=entry.reason,
    )
