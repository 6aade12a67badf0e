"""`/v1/analyses/{id}/counts`: what a viewer shows of a result, counted by the server at a threshold and after review."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from serving.api.options import RecountQuery, check_query
from serving.api.owners import request_owner, visible_owner
from serving.api.problems import responses
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.profiles import load_profile, profile_names
from serving.core.report import Counting, Counts, Hotspot, Report, ReviewedCounts
from serving.core.research_use import RESEARCH_USE
from serving.review.decisions import decide
from serving.review.review_store import ReviewStore
from serving.scoring.analysis import Analysis
from serving.scoring.recount import find_least_threshold, find_own_threshold, recount
from serving.scoring.reviewed import ReviewDecision


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileView(_Part):
    """Published cut-offs that there are."""

    name: str
    title: str
    source: str
    area_mm2: float


class CountsView(_Part):
    """The counts of a report without its lists of tiles and detections."""

    analysis: str = Field(description="Id of the analysis that was counted again.")
    threshold: float = Field(description="Probability from which figures counted.")
    own_threshold: float = Field(description="That of the analysis as it was made.")
    least_threshold: float = Field(description="The lowest at which the result can be counted again.")
    counting: Counting
    counts: Counts = Field(description="Without `expected.below_threshold`, which the report has.")
    hotspots: list[Hotspot]
    fields: list[Hotspot]
    review: ReviewedCounts | None
    warnings: list[str]
    profiles: list[ProfileView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["analyses"])


@router.get(
    "/v1/analyses/{analysis_id}/counts",
    summary="Counts at a threshold and after review",
    responses=responses("malformed-request", "not-found", "not-finished", "busy"),
)
async def read(
    workload: ServingWorkload,
    results: ServingResults,
    request: Request,
    analysis_id: str,
    query: Annotated[RecountQuery, Query()],
) -> CountsView:
    """The result counted again, as `/report` with the same query does, without what a viewer holds already."""
    check_query(request)
    owner, you = visible_owner(request), request_owner(request)

    def count_again() -> CountsView:
        job, analysis = results.get(analysis_id, owner=owner)
        decision = read_decision(workload, job.id, analysis.report, query, you=you)
        return _view(analysis_id, analysis, recount_as_asked(analysis, query, decision))

    return await run_sync(count_again)


def read_decision(
    workload: Workload, analysis_id: str, report: Report, query: RecountQuery, *, you: str
) -> ReviewDecision | None:
    """What is decided by those whom the query names; None where it asks for no review. you : who asks."""
    if query.review == "off":
        return None
    entries = ReviewStore(workload.database).entries(analysis_id)
    return decide(report, entries, author=you if query.review == "own" else None, reviewer=query.reviewer)


def recount_as_asked(analysis: Analysis, query: RecountQuery, decision: ReviewDecision | None) -> Analysis:
    """The analysis counted again as the query asks."""
    return recount(
        analysis, query.counting(), threshold=query.threshold, decision=decision, fields=query.field_middles()
    )


def _view(analysis_id: str, analysis: Analysis, counted: Analysis) -> CountsView:
    made, report = analysis.report, counted.report
    counting, counts = report.settings.counting, report.counts
    if counting is None:
        raise AssertionError("what was counted again states how")
    if counts.expected is not None:
        counts = counts.model_copy(update={"expected": counts.expected.model_copy(update={"below_threshold": []})})
    own = find_own_threshold(made)
    profiles = [load_profile(name) for name in profile_names()]
    return CountsView(
        analysis=analysis_id,
        threshold=own if counting.threshold is None else counting.threshold,
        own_threshold=own,
        least_threshold=find_least_threshold(made),
        counting=counting,
        counts=counts,
        hotspots=report.hotspots,
        fields=report.fields,
        review=report.review,
        warnings=report.warnings,
        profiles=[ProfileView(name=p.name, title=p.title, source=p.source, area_mm2=p.area_mm2) for p in profiles],
    )
