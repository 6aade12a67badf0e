"""`/v1/analyses/{id}/reviews`: what people say of a result, beside it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, Response

from serving.api.answers import BINARY
from serving.api.owners import request_author, visible_owner
from serving.api.problems import responses
from serving.api.recounting import read_record
from serving.api.results import ResultCache
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.counts import ReadingAgreement
from serving.core.report import Report
from serving.core.words import RESEARCH_USE, state_time
from serving.review.consensus import compare_readings
from serving.review.corrections import corrections
from serving.review.decisions import find_same, merge_same
from serving.review.read_counts import state_agreement
from serving.review.readings import Reading, Stage, find_open, find_pair, find_stage
from serving.review.review_store import ReviewChange, ReviewStore
from serving.review.studies import StudyReader
from serving.review.verdicts import LABELS, Action, ReviewEntry, agreements, collect_verdicts, find_added_boxes, tally


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
    study: str = Field("", max_length=40, description="That it is said in, as its reader `reviewer`; empty for none.")
    consensus: bool = Field(
        False, description="Said after two readings, of what counts in the end; it is no part of either reading."
    )

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
    consensus: bool = Field(default=False, description="Whether it is part of the consensus.")


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


class ReadingView(_Part):
    """An analysis in the hands of one reader."""

    number: int
    reader: str = Field(description="Whose key is shown.")
    reviewer: str = Field(description="What the reader is called; empty where nothing but the key tells.")
    given_at: str = Field(description="UTC, ISO 8601.")
    given_by: str
    finished_at: str | None = Field(description="UTC, ISO 8601; null while it goes on.")
    yours: bool = Field(description="Whether it is read with the key that asks.")


class ComparedView(_Part):
    """What two readers, and then the consensus, call an object; null where somebody said nothing."""

    target: str
    first: str | None
    second: str | None
    consensus: str | None
    agreed: bool = Field(
        description="Whether it counts for both, or for neither; what a reader did not judge counts as the model says."
    )


class ComparisonView(_Part):
    """Two finished readings beside each other."""

    agreement: ReadingAgreement
    objects: list[ComparedView] = Field(description="Everything that somebody judged.")


class ReviewView(_Part):
    """All that was said of an analysis, as far as you may see it: during a reading of your own, what you said in it."""

    you: str = Field(description="Who asks: the `author` of what they record.")
    model_mitotic_figures: int = Field(description="Of the report, whatever reviewers say.")
    labels: dict[str, bool] = Field(
        description="What objects may be called, and whether it counts as a mitotic figure."
    )
    entries: list[EntryView]
    reviewers: list[TallyView]
    agreement: list[AgreementView]
    stage: Stage = Field(
        default="review",
        description="`review`: no reading was given; `reading`: you have one to finish; `waiting`: another is not finished, or "
        "there is only one; `consensus`: both are finished.",
    )
    readings: list[ReadingView] = Field(default_factory=list, description="In the order in which they were given.")
    comparison: ComparisonView | None = Field(default=None, description="Null before both readings are finished.")
    same: dict[str, str] = Field(
        default_factory=dict,
        description="What was added where something had been added already, by the name of the later one: they are one figure.",
    )
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/reviews",
    summary="What reviewers say",
    responses=responses("not-found", "not-finished", "busy"),
)
async def read(
    workload: ServingWorkload,
    results: ServingResults,
    request: Request,
    analysis_id: str,
    *,
    study: Annotated[
        str | None, Query(min_length=1, max_length=40, description="Only what you said in this study, as its reader.")
    ] = None,
    reviewer: Annotated[str, Query(max_length=80, description="Your name as a reader of the study.")] = "",
) -> ReviewView:
    """The record, each reviewer's counts, and how far they agree. What is said in studies is not in it."""
    owner = visible_owner(request)
    you = request_author(request)
    reader = None if study is None else StudyReader(study, you, reviewer)
    return await run_sync(lambda: _view(workload, results, analysis_id, owner=owner, you=you, reader=reader))


@router.post(
    "/v1/analyses/{analysis_id}/reviews",
    summary="Accept, reject, relabel, add or undo",
    status_code=201,
    response_model=EntryView,
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "busy"),
)
async def record(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: ReviewRequest
) -> Response:
    """Adds an entry to the record; the result stays as it is."""
    owner, author = visible_owner(request), request_author(request)
    box = None if wanted.box is None else (wanted.box.x, wanted.box.y, wanted.box.width, wanted.box.height)
    said = (wanted.reviewer, wanted.action, wanted.target, box, wanted.label, wanted.reason)
    change = ReviewChange(author, *said, study=wanted.study, consensus=wanted.consensus)

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
    owner, you = visible_owner(request), request_author(request)

    def made() -> tuple[Report, bytes]:
        job, analysis = results.get(analysis_id, owner=owner)
        entries = ReviewStore(workload.database).entries(job.id, seen_by=you)
        added = find_added_boxes(entries)
        found = {who: own for who, own in collect_verdicts(entries).items() if reviewer in (None, who[1])}
        return analysis.report, corrections(analysis.report, merge_same(analysis.report, found, added), added)

    report, content = await run_sync(made)
    headers = {"Content-Disposition": f'attachment; filename="{report.analysis_id}-corrections.geojson"'}
    return Response(content, media_type="application/geo+json", headers=headers)


def _view(
    workload: Workload,
    results: ResultCache,
    analysis_id: str,
    *,
    owner: str | None,
    you: str,
    reader: StudyReader | None,
) -> ReviewView:
    job, analysis = results.get(analysis_id, owner=owner)
    report = analysis.report
    heard = read_record(workload, job.id, you=you, reader=reader)
    entries, readings = heard.entries, heard.readings
    added = find_added_boxes(entries)
    verdicts = merge_same(report, collect_verdicts(entries), added)
    tallies = [tally(who, own, len(report.detections)) for who, own in sorted(verdicts.items())]
    return ReviewView(
        you=you,
        model_mitotic_figures=report.counts.mitotic_figures,
        labels=LABELS,
        entries=[_entry(entry) for entry in entries],
        reviewers=[
            TallyView(**asdict(t), mitotic_figures=t.mitotic_figures, after_review=t.after_review) for t in tallies
        ],
        agreement=[AgreementView(**asdict(a)) for a in agreements(verdicts)],
        stage=find_stage(readings, you),
        readings=[view_reading(one, you=you) for one in readings],
        comparison=_compare(report, entries, readings, you=you),
        same=find_same(report, added),
    )


def view_reading(reading: Reading, *, you: str) -> ReadingView:
    """A reading as clients see it; `you` is who asks."""
    return ReadingView(
        number=reading.number,
        reader=reading.reader,
        reviewer=reading.reviewer,
        given_at=state_time(reading.given_at),
        given_by=reading.given_by,
        finished_at=state_time(reading.finished_at),
        yours=reading.reader == you,
    )


def _compare(
    report: Report, entries: Sequence[ReviewEntry], readings: Sequence[Reading], *, you: str
) -> ComparisonView | None:
    pair = find_pair(readings)
    if pair is None or find_open(readings, you) is not None:
        return None
    compared = compare_readings(report, entries, pair)
    return ComparisonView(
        agreement=state_agreement(compared),
        objects=[
            ComparedView(
                target=one.target,
                first=one.first,
                second=one.second,
                consensus=one.consensus,
                agreed=one.agreed,
            )
            for one in compared.objects
        ],
    )


def _entry(entry: ReviewEntry) -> EntryView:
    box = None
    if entry.box is not None:
        x, y, width, height = entry.box
        box = BoxView(x=x, y=y, width=width, height=height)
    return EntryView(
        number=entry.number,
        at=state_time(entry.at),
        author=entry.author,
        reviewer=entry.reviewer,
        action=entry.action,
        target=entry.target,
        box=box,
        label=entry.label,
        reason=entry.reason,
        consensus=entry.consensus,
    )
