"""`/v1/analyses`: submit, look, list, cancel, and fetch the result."""

import hashlib
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.concurrency import contextmanager_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.api.analysis import AnalysisPage, AnalysisView, location, view
from serving.api.answers import RESULT_ERRORS, choose_export, export_response, format_responses, link_page
from serving.api.options import AnalysisOptions, RecountQuery, check_query, to_options
from serving.api.owners import request_author, request_owner, visible_owner
from serving.api.problems import NoSuchPageError, responses
from serving.api.recounting import recount_as_asked
from serving.api.results import ResultCache
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.exports import EXPORTS
from serving.jobs.job import AnalysisJob, State
from serving.jobs.sending import list_sendings
from serving.jobs.table import PRIORITIES, Submission
from serving.jobs.webhooks import check_webhook
from serving.review.region_store import RegionStore
from serving.scoring.analysis import Analysis

MAX_PAGE = 200


class Webhook(BaseModel):
    """Who is told when the analysis has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(max_length=2000, description="http or https, on a host that the server's operator has named.")


class AnalysisRequest(BaseModel):
    """What is to be analysed, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slide: str = Field(max_length=100, description="Id of a slide: see POST /v1/slides.")
    options: AnalysisOptions = Field(default_factory=lambda: AnalysisOptions.model_validate({}))
    priority: int = Field(
        0, ge=PRIORITIES[0], le=PRIORITIES[1], description="Among your own analyses the highest goes first."
    )
    webhook: Webhook | None = None


router = APIRouter(tags=["analyses"])


@router.post(
    "/v1/analyses",
    summary="Submit an analysis",
    status_code=202,
    response_model=AnalysisView,
    responses=responses(
        "malformed-request", "not-found", "idempotency-conflict", "webhook-not-allowed", "mpp-out-of-range", "busy",
        "internal-error", "disk-full",
    ),
)  # fmt: skip
async def submit(
    workload: ServingWorkload,
    request: Request,
    wanted: AnalysisRequest,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="The same key with the same request gives the same analysis."),
    ] = None,
) -> Response:
    """Accepts the analysis for good: it survives restarts. A result that its owner has already is there at once."""
    options = to_options(wanted.options)
    await run_sync(workload.check_models, options)
    webhook = None if wanted.webhook is None else check_webhook(wanted.webhook.url, workload.settings)
    submission = Submission(
        request_owner(request),
        wanted.slide,
        options,
        priority=wanted.priority,
        webhook=webhook,
        idempotency_key=idempotency_key,
        idempotency_hash=hashlib.sha256(wanted.model_dump_json().encode()).hexdigest(),
    )
    job, _ = await run_sync(lambda: workload.jobs.submit(submission, models_key=workload.find_models_key(options)))
    return JSONResponse(view(job).model_dump(mode="json"), 202, {"Location": location(job)})


@router.get("/v1/analyses", summary="List analyses", responses=responses("malformed-request", "busy"))
async def page(
    workload: ServingWorkload,
    request: Request,
    *,
    state: Annotated[list[State] | None, Query(description="Only these states; repeat for several.")] = None,
    slide: Annotated[str | None, Query(max_length=100, description="Only of this slide.")] = None,
    owner: Annotated[
        str | None, Query(max_length=300, description="Only of this owner, for administrators, who see everybody's.")
    ] = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="From a page's `next`.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> AnalysisPage:
    """Your analyses, the newest first."""
    seen = visible_owner(request)
    if None not in (seen, owner) and owner != seen:
        return AnalysisPage(analyses=[], next=None)
    jobs = await run_sync(
        lambda: workload.jobs.page(
            owner=seen or owner, states=state or (), sha256=slide, before=before, limit=limit + 1
        )
    )
    more = link_page(request, before=jobs[limit - 1].number) if len(jobs) > limit else None
    return AnalysisPage(analyses=[view(job) for job in jobs[:limit]], next=more)


@router.get("/v1/analyses/{analysis_id}", summary="One analysis", responses=responses("not-found", "busy"))
async def get(workload: ServingWorkload, request: Request, analysis_id: str) -> AnalysisView:
    """State, progress and time left; with the error where it failed."""
    owner = visible_owner(request)

    def look() -> AnalysisView:
        job = workload.jobs.get(analysis_id, owner=owner)
        with workload.database.reading() as tx:
            return view(job, list_sendings(tx, job.id))

    return await run_sync(look)


@router.delete(
    "/v1/analyses/{analysis_id}",
    summary="Cancel or remove an analysis",
    responses={204: {"description": "It had ended and is removed"}, **responses("not-found", "busy")},
)
async def cancel(
    workload: ServingWorkload,
    request: Request,
    analysis_id: str,
    keep_ended: Annotated[bool, Query(description="Leave an analysis that has ended as it is.")] = False,
) -> AnalysisView:
    """Cancels what has not ended: its worker stops within two seconds. What has ended is removed, unless `keep_ended` is true."""
    owner = visible_owner(request)
    job = await run_sync(lambda: workload.jobs.get(analysis_id, owner=owner))
    if job.finished and keep_ended:
        return view(job)
    if job.finished:
        await run_sync(lambda: workload.jobs.forget(analysis_id, owner=owner))
        return Response(status_code=204)  # type: ignore[return-value]  # FastAPI passes responses on
    return view(await run_sync(lambda: workload.jobs.cancel(analysis_id, owner=owner)))


@router.get(
    "/v1/analyses/{analysis_id}/report",
    summary="The result",
    response_class=Response,
    responses={
        200: format_responses(),
        **responses(*RESULT_ERRORS, "malformed-request", "not-finished", "unreadable-slide", "decoder-died", "busy"),
    },
)
async def report(
    results: ServingResults,
    request: Request,
    analysis_id: str,
    query: Annotated[RecountQuery, Query()],
) -> Response:
    """In the format that `Accept` prefers, as from /v1/score; of an analysis that failed, its error.

    With options of counting, the stored result is counted again; no model runs.
    """
    return await _answer(results, request, analysis_id, choose_export(request), query)


@router.get(
    "/v1/analyses/{analysis_id}/report.{suffix}",
    summary="The result in a format",
    response_class=Response,
    responses={
        200: format_responses(),
        **responses(*RESULT_ERRORS, "malformed-request", "not-finished", "unreadable-slide", "decoder-died", "busy"),
    },
)
async def report_file(
    results: ServingResults,
    request: Request,
    analysis_id: str,
    suffix: Annotated[str, Path(description=f"One of {', '.join(e.suffix for e in EXPORTS.values())}.")],
    query: Annotated[RecountQuery, Query()],
) -> Response:
    """The same by suffix, for links; `Accept` is not asked."""
    export = next((name for name, e in EXPORTS.items() if e.suffix == suffix), None)
    if export is None:
        raise NoSuchPageError(f"no format {suffix[:40]!r}; there are {', '.join(e.suffix for e in EXPORTS.values())}")
    return await _answer(results, request, analysis_id, export, query)


async def _answer(
    results: ResultCache, request: Request, analysis_id: str, export: str, query: RecountQuery
) -> Response:
    check_query(request)
    workload = results.workload
    owner, you = visible_owner(request), request_author(request)
    # Whoever fetches the reports of a cohort takes nothing from those who look at a slide.
    job, stored = await run_sync(lambda: results.get(analysis_id, owner=owner, keep=False))
    analysis = await run_sync(lambda: _recount(workload, job, stored, query, you=you))
    headers = {"Cache-Control": "private, immutable" if query.is_settled else "private, no-cache"}
    if EXPORTS[export].shows_views:
        analysis = await run_sync(workload.attach_views, job, analysis)
    if not EXPORTS[export].needs_slide:
        return await export_response(export, analysis, headers=headers)
    async with contextmanager_in_threadpool(workload.store.files.path(job.sha256)) as slide:
        return await export_response(export, analysis, slide=slide, headers=headers)


def _recount(workload: Workload, job: AnalysisJob, analysis: Analysis, query: RecountQuery, *, you: str) -> Analysis:
    """The analysis as it is where neither the query nor who drew on it asks for anything, else counted again. you : who asks."""
    nothing = not query.model_fields_set - {"regions"}
    if nothing and not _find_change(workload, job, query, analysis):
        return analysis
    return recount_as_asked(workload, job.id, analysis, query, you=you)


def _find_change(workload: Workload, job: AnalysisJob, query: RecountQuery, analysis: Analysis) -> bool:
    """Whether other regions count than those that the analysis was made with."""
    if query.regions == "current":
        return RegionStore(workload.database).find(job.id) is not None
    counting = analysis.report.settings.counting
    return query.regions == "off" and counting is not None and counting.regions_sha256 is not None
