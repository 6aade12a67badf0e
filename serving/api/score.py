"""`POST /v1/score`: a slide goes in, its report or its mitosis map comes out; an analysis like any other, waited for."""

import re
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from serving.api.analysis import AnalysisView, location, view
from serving.api.answers import (
    ARRIVAL_ERRORS,
    BINARY,
    FORM,
    RESULT_ERRORS,
    choose_export,
    export_response,
    format_responses,
)
from serving.api.bodies import FIELD
from serving.api.headers import join_field_lines
from serving.api.options import ScoreQuery, check_query, to_options
from serving.api.owners import request_owner
from serving.api.problems import responses
from serving.api.receiving import receive_slide
from serving.api.results import load_job_result
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.core.options import ScoringOptions
from serving.jobs.job import AnalysisJob
from serving.jobs.table import Submission
from serving.store.received_slides import store_received_file

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
async def score(workload: ServingWorkload, request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
    """Streams the slide to disk, waits for its turn, scores it, and deletes it unless it was uploaded before.

    `Accept` chooses the report (JSON), the mitotic figures (GeoJSON, CSV and more) or the mitosis map (PNG, TIFF). With
    `Prefer: respond-async` the answer is 202 and the analysis, as from `POST /v1/analyses`. An analysis whose client
    goes away is cancelled.
    """
    check_query(request)
    options = to_options(query)
    export = choose_export(request)
    await run_sync(workload.worker_registry.cards)
    await run_sync(workload.check_models, options)
    if _wants_no_wait(request):
        job = await _submit(workload, request, query, options)
        headers = {"Location": location(job), "Preference-Applied": "respond-async"}
        return JSONResponse(view(job).model_dump(mode="json"), 202, headers)
    with workload.place():
        job = await _submit(workload, request, query, options)
        job = await workload.wait_until_ended(job, request.receive)
        analysis = await run_sync(lambda: load_job_result(workload, job))
        return await export_response(export, analysis)


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
            return workload.jobs.submit(wanted, models_key=workload.find_models_key(options))[0]

        return await run_sync(submit)


def _wants_no_wait(request: Request) -> bool:
    """Whether the client prefers an asynchronous answer (RFC 7240, 4.1)."""
    return bool(re.search(r"(^|,)\s*respond-async\s*($|[,;])", join_field_lines(request, "prefer"), re.IGNORECASE))
