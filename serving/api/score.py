"""`POST /v1/score`: a slide goes in, its report or its mitosis map comes out; an analysis like any other, waited for."""

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from serving.api.analysis import AnalysisView, location, view
from serving.api.bodies import FIELD
from serving.api.headers import join_field_lines
from serving.api.negotiation import choose
from serving.api.options import ScoreQuery, check_query, to_options
from serving.api.owners import request_owner
from serving.api.problems import FailedAnalysisError, responses
from serving.api.receiving import receive_slide
from serving.api.workload import Workload
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.jobs.errors import ResultLostError
from serving.jobs.job import AnalysisJob
from serving.jobs.results import load_result
from serving.jobs.table import Submission
from serving.observability import metrics
from serving.scoring.analysis import Analysis
from serving.store.received_slides import store_received_file

BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: {"type": "string", "format": "binary", "description": "The slide, with its file name."}},
    }
}
ARRIVAL_ERRORS = (
    "malformed-request",
    "empty-upload",
    "upload-stalled",
    "slide-too-large",
    "unsupported-format",
    "bad-archive",
    "unreadable-slide",
    "decoder-died",
    "internal-error",
    "busy",
    "quota-exceeded",
    "disk-full",
)
"""How the arrival of a slide may end."""
RESULT_ERRORS = (
    "not-found",
    "not-acceptable",
    "not-exportable",
    "missing-mpp",
    "mpp-out-of-range",
    "roi-outside-slide",
    "model-unavailable",
)


def score_routes(workload: Workload) -> APIRouter:
    """The route that scores an uploaded slide."""
    router = APIRouter()

    @router.post(
        "/v1/score",
        summary="Score a slide",
        tags=["scoring"],
        response_class=Response,
        responses={
            200: format_responses(),
            202: {"model": AnalysisView, "description": "Accepted (with `Prefer: respond-async`); Location says where"},
            **responses(*ARRIVAL_ERRORS, *RESULT_ERRORS),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": f"A form with one file in the field `{FIELD}`, or the slide itself with ?filename=NAME.",
                "content": {"multipart/form-data": FORM, "application/octet-stream": BINARY},
            }
        },
    )
    async def score(request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
        """Streams the slide to disk, waits for its turn, scores it, and deletes it unless it was uploaded before.

        `Accept` chooses the report (JSON), the mitotic figures (GeoJSON, CSV and more) or the mitosis map (PNG, TIFF). With
        `Prefer: respond-async` the answer is 202 and the analysis, as from `POST /v1/analyses`. An analysis whose client
        goes away is cancelled.
        """
        check_query(request)
        options = to_options(query)
        export = choose_export(request)
        await run_sync(workload.worker_registry.cards)
        if _wants_no_wait(request):
            job = await _submit(workload, request, query, options)
            headers = {"Location": location(job), "Preference-Applied": "respond-async"}
            return JSONResponse(view(job).model_dump(mode="json"), 202, headers)
        with workload.place():
            job = await _submit(workload, request, query, options)
            job = await workload.wait_until_ended(job, request.receive)
            analysis = await run_sync(lambda: load_job_result(workload, job))
            return await export_response(export, analysis)

    return router


async def export_response(
    export: str, analysis: Analysis, *, slide: Path | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The analysis in a format, as it is made; what cannot be made is refused before the answer begins."""
    chunks = iter(EXPORTS[export].chunks(analysis, slide))
    first = await run_sync(next, chunks, b"")
    metrics.count_answer(export)
    answer = StreamingResponse(chain([first], chunks), media_type=EXPORTS[export].media_type, headers=headers)
    answer.headers["Vary"] = "Accept"
    return answer


def choose_export(request: Request) -> str:
    """The key of the export that `Accept` prefers; raises `NotAcceptableError` if it accepts none."""
    return choose(join_field_lines(request, "accept") or "*/*", {name: e.media_type for name, e in EXPORTS.items()})


def load_job_result(workload: Workload, job: AnalysisJob) -> Analysis:
    """The result of a job that has ended; raises the error that it ended with."""
    if job.state != "succeeded" or job.result is None:
        raise FailedAnalysisError(
            job.problem or "not-finished", job.detail or f"the analysis is {job.state}; it has no result"
        )
    try:
        return load_result(workload.store.kept, job.result, slide_name=job.name)
    except ResultLostError:
        workload.jobs.lose(job)
        raise


def format_responses() -> dict[str, Any]:
    """The OpenAPI response of an analysis in every format on offer."""
    content: dict[str, Any] = {}
    for export in EXPORTS.values():
        content[export.media_type] = (
            {} if export.media_type == "application/json" else {"schema": {"type": "string", "format": "binary"}}
        )
    return {"model": Report, "description": "The analysis, in the format that Accept prefers", "content": content}


async def _submit(workload: Workload, request: Request, query: ScoreQuery, options: ScoringOptions) -> AnalysisJob:
    """The analysis of the slide in the request's body; the slide is kept until it has ended."""
    owner, settings = request_owner(request), workload.settings
    async with receive_slide(request, workload, filename=query.filename) as received:

        def submit() -> AnalysisJob:
            stored = store_received_file(
                workload.store,
                received.path,
                owner=owner,
                name=received.name,
                max_bytes=settings.max_upload_bytes,
                sha256=received.sha256,
                kept=False,
            )
            wanted = Submission(owner, stored.sha256, options, name=received.name)
            return workload.jobs.submit(wanted, models_key=workload.worker_registry.models_key())[0]

        return await run_sync(submit)


def _wants_no_wait(request: Request) -> bool:
    """Whether the client prefers an asynchronous answer (RFC 7240, 4.1)."""
    return bool(re.search(r"(^|,)\s*respond-async\s*($|[,;])", join_field_lines(request, "prefer"), re.IGNORECASE))
