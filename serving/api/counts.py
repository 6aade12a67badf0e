"""`/v1/analyses/{id}/counts`: what a viewer shows of a result, counted by the server at a threshold and after review."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from serving.api.options import RecountQuery, RecountRequest, check_query
from serving.api.owners import request_author, visible_owner
from serving.api.problems import responses
from serving.api.recounting import recount_as_asked
from serving.api.results import ResultCache
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.counts import (
    Counting,
    Counts,
    Hotspot,
    ReadingAgreement,
    ReadingCounts,
    ReviewedCounts,
    Signature,
)
from serving.core.profiles import load_profile, profile_names
from serving.core.report_parts import ModelInfo
from serving.core.words import RESEARCH_USE
from serving.scoring.analysis import Analysis
from serving.scoring.recount import find_least_threshold, find_own_threshold
from serving.scoring.report_identity import identify_counts


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
    atypia: ModelInfo | None = Field(
        default=None,
        description="The model that says which figures are atypical, with its threshold; null without one.",
    )
    readings: list[ReadingCounts] = Field(
        default_factory=list, description="Of both readers, where `review` is their consensus."
    )
    agreement: ReadingAgreement | None = Field(default=None, description="Of both readers.")
    signatures: list[Signature] = Field(
        default_factory=list, description="Of counts that were counted in the same way, the last first."
    )
    identity: str | None = Field(
        default=None, description="SHA-256 of what a signature would stand for; null without a review."
    )
    warnings: list[str]
    profiles: list[ProfileView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["analyses"])


@router.get(
    "/v1/analyses/{analysis_id}/counts",
    summary="Counts at a threshold and after review",
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "busy"),
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
    owner, you = visible_owner(request), request_author(request)

    return await run_sync(lambda: _count_again(workload, results, analysis_id, query, owner=owner, you=you))


@router.post(
    "/v1/analyses/{analysis_id}/counts",
    summary="Counts in regions of this request",
    responses=responses(
        "malformed-request", "not-found", "not-finished", "reading-conflict", "busy", "roi-outside-slide"
    ),
)
async def read_in_regions(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: RecountRequest
) -> CountsView:
    """The same with options as JSON, which has room for regions; nothing is kept."""
    owner, you = visible_owner(request), request_author(request)
    return await run_sync(lambda: _count_again(workload, results, analysis_id, wanted, owner=owner, you=you))


def _count_again(
    workload: Workload, results: ResultCache, analysis_id: str, query: RecountQuery, *, owner: str | None, you: str
) -> CountsView:
    job, analysis = results.get(analysis_id, owner=owner)
    return _view(analysis_id, analysis, recount_as_asked(workload, job.id, analysis, query, you=you))


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
        readings=report.readings,
        agreement=report.agreement,
        signatures=report.signatures,
        identity=None if report.review is None else identify_counts(report),
        atypia=report.atypia,
        warnings=report.warnings,
        profiles=[ProfileView(name=p.name, title=p.title, source=p.source, area_mm2=p.area_mm2) for p in profiles],
    )
