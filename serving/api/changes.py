"""`GET /v1/analyses/{id}/changes`: that somebody judged or drew, on whichever server, as it happens (Server-Sent Events)."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import Response, StreamingResponse

from serving.api.events import KEEP_ALIVE_S, RESTART_MS, RETRY_MS
from serving.api.owners import visible_owner
from serving.api.problems import responses
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import BusyError
from serving.review.record_watch import LOOK_S

LONGEST_S = 30.0
"""Then a stream ends, before proxies cut it, and whoever comes back for the next shows again that they may hear it."""
_EVENT = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {
        "event": {"enum": ["changed"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "object",
                "properties": {
                    "reviews": {
                        "type": "integer",
                        "description": "Number of the last entry of the record of reviews; 0 for none.",
                    },
                    "regions": {
                        "type": "integer",
                        "description": "Number of the last entry of the record of regions; 0 for none.",
                    },
                },
            },
        },
    },
}


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/changes",
    summary="Hear that somebody judged or drew",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "How far the records have come, at once and whenever they go on, for some seconds",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        **responses("malformed-request", "not-found", "busy"),
    },
)
async def hear(
    workload: ServingWorkload,
    request: Request,
    analysis_id: str,
    longest_s: Annotated[
        float, Query(ge=0, le=LONGEST_S, description="Seconds after which the stream ends.")
    ] = LONGEST_S,
) -> Response:
    """Says that there is more, and nothing of what it is: `/reviews` and `/regions` say that to whoever may see it.

    What other servers on the same database record is heard of, too.
    """
    owner = visible_owner(request)
    job = await run_sync(lambda: workload.jobs.get(analysis_id, owner=owner))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_changes(workload, job.id, longest_s), headers=headers)


async def _changes(workload: Workload, analysis_id: str, longest_s: float) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    said, begun = None, time.monotonic()
    spoken = begun
    watch = workload.records
    with watch.follow(analysis_id):
        while workload.is_open:
            try:
                found = await run_sync(partial(watch.look, analysis_id))
                if found is None:
                    return
            except BusyError:
                found = said  # the database is locked for a moment
            if found is not None and found != said:
                said, spoken = found, time.monotonic()
                yield format_sse_event(event="changed", data_str=json.dumps(asdict(found)))
            elif time.monotonic() - spoken > KEEP_ALIVE_S:
                spoken = time.monotonic()
                yield format_sse_event(comment="still here")
            if time.monotonic() - begun + LOOK_S > longest_s:
                return
            await anyio.sleep(LOOK_S)
    yield format_sse_event(comment="the server stops", retry=RESTART_MS)
