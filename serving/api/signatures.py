"""`/v1/analyses/{id}/signatures`: who stands by the counts of a report, and whether they are still those that were signed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.api.options import RecountQuery
from serving.api.owners import request_author, request_principal, visible_owner
from serving.api.problems import responses
from serving.api.recounting import check_signature, count_heard, describe_way, read_record, state_signature
from serving.api.results import ResultCache
from serving.api.routes import address
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.counts import Signature
from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.review.readings import ReadingError, find_open
from serving.review.region_store import RegionStore
from serving.review.signatures import CountsChangedError, SignatureError, SignatureStore, SigningRequest
from serving.review.verdicts import find_last
from serving.scoring.report_identity import identify_counts


class SignatureRequest(RecountQuery):
    """What is signed: how was counted, as a request of the report states it; `review` is `own`, `all` or `consensus`."""

    name: Annotated[
        str, Field(max_length=80, description="What you call yourself; several people may use one key.")
    ] = ""
    identity: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="`identity` of the counts that you saw: where they are others by now, nothing is signed.",
    )


class SignedView(Signature):
    """A signature, with the main numbers that were signed."""

    summary: dict[str, Any] = Field(
        description="Mitotic figures of the slide and of the first hotspot for each side, and by what rule was reviewed."
    )


class SignaturesView(BaseModel):
    """The signatures of an analysis."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signatures: list[SignedView] = Field(description="The last first.")
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/signatures",
    summary="Who signed",
    responses=responses("not-found", "not-finished", "busy"),
)
async def read(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str
) -> SignaturesView:
    """Every signature, and whether the counts are still those that were signed; none during a reading of your own."""
    owner, you = visible_owner(request), request_author(request)
    return await run_sync(lambda: _list(workload, results, analysis_id, owner=owner, you=you))


@router.post(
    "/v1/analyses/{analysis_id}/signatures",
    summary="Sign the counts",
    status_code=201,
    response_model=SignedView,
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "counts-changed", "busy"),
)
async def sign(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: SignatureRequest
) -> Response:
    """Records your name, the time and what is signed. `?signature=` of a report then gives the counts as they were."""
    owner, principal = visible_owner(request), request_principal(request)

    def signed() -> SignedView:
        job, analysis = results.get(analysis_id, owner=owner)
        query = _take_query(wanted)
        heard = read_record(workload, job.id, you=principal.id)
        if find_open(heard.readings, principal.id) is not None:
            raise ReadingError("you have a reading to finish: finish it, then sign")
        drawn = RegionStore(workload.database).find(job.id) if query.regions == "current" else None
        region_entry = None if drawn is None else drawn.note.number
        # What is named in the signature is what is counted, though somebody judges or draws meanwhile.
        heard = replace(heard, region_entry=region_entry or 0)
        report = count_heard(workload, job.id, analysis, query, heard, you=principal.id).report
        identity = identify_counts(report)
        if wanted.identity not in (None, identity):
            raise CountsChangedError("verdicts or regions have changed since you looked: look again, then sign")
        stored = SignatureStore(workload.database).add(
            job.id,
            SigningRequest(
                author=principal.id,
                name=principal.name[:300],
                reviewer=wanted.name,
                query={
                    "query": query.model_dump(mode="json", exclude_unset=True),
                    "way": describe_way(report, query, you=principal.id),
                },
                last_entry=find_last(heard.entries)[0],
                region_entry=region_entry,
                sha256=identity,
                summary=_summarize(report),
            ),
            workload.settings,
        )
        return _view(state_signature(stored, current=True), stored.summary)

    view = await run_sync(signed)
    return JSONResponse(
        view.model_dump(mode="json"), 201, {"Location": address(f"/v1/analyses/{analysis_id}/signatures")}
    )


def _take_query(wanted: SignatureRequest) -> RecountQuery:
    if wanted.review == "off" or wanted.signature is not None or wanted.study is not None:
        raise SignatureError(
            "review: what is signed is a review: give `own`, `all` or `consensus`, and neither `signature` nor `study`"
        )
    stated = wanted.model_dump(include=wanted.model_fields_set - {"name", "identity"})
    query: RecountQuery = RecountQuery.model_validate(stated)
    return query


def _list(workload: Workload, results: ResultCache, analysis_id: str, *, owner: str | None, you: str) -> SignaturesView:
    job, analysis = results.get(analysis_id, owner=owner)
    heard = read_record(workload, job.id, you=you)
    if find_open(heard.readings, you) is not None:
        return SignaturesView(signatures=[])
    return SignaturesView(
        signatures=[
            _view(check_signature(workload, job.id, analysis, stored, heard, you=you), stored.summary)
            for stored in SignatureStore(workload.database).list(job.id)
        ]
    )


def _summarize(report: Report) -> dict[str, Any]:
    review = report.review
    if review is None:
        raise AssertionError("what is signed is a review")
    first = report.hotspots[0] if report.hotspots else None
    return {
        "rule": review.rule,
        "reviewers": review.reviewers,
        "slide": {"model": report.counts.mitotic_figures, "reviewed": review.counts.mitotic_figures},
        "hotspot": None
        if first is None
        else {
            "model": first.mitotic_figures,
            "reviewed": None if first.reviewed is None else first.reviewed.mitotic_figures,
        },
    }


def _view(stated: Signature, summary: Mapping[str, Any]) -> SignedView:
    return SignedView(**stated.model_dump(), summary=dict(summary))
