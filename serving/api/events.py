"""`GET /v1/analyses/{id}/events`: what happens to an analysis, as it happens (Server-Sent Events, WHATWG HTML 9.2)."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, get_args

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import Response, StreamingResponse

from serving.api.owners import visible_owner
from serving.api.problems import responses
from serving.api.services import ServingWorkload
from serving.api.workload import FIRST_LOOK_S, LAST_LOOK_S, Workload
from serving.core.errors import BusyError, RequestError
from serving.jobs.job import State

KEEP_ALIVE_S = 15.0
"""Proxies close connections on which nothing passes, most after 60 s."""
RETRY_MS = 1000
RESTART_MS = 5000
"""When to come back to a server that stops: about when it answers again."""
_MEDIA_TYPE = "text/event-stream"
_EVENT = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "event": {"enum": [*get_args(State), "progress"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}


router = APIRouter(tags=["analyses"])


@router.get(
    "/v1/analyses/{analysis_id}/events",
    summary="Follow an analysis",
    response_class=StreamingResponse,  # FastAPI takes routes of EventSourceResponse for generators, which give no 204
    responses={
        204: {"description": "The analysis has ended and every event was seen"},
        200: {
            "description": "Events until the analysis has ended",
            "content": {_MEDIA_TYPE: {"schema": _EVENT}},
        },
        **responses("malformed-request", "not-found", "busy"),
    },
)
async def follow(
    workload: ServingWorkload,
    request: Request,
    analysis_id: str,
    last_event_id: Annotated[
        str | None, Header(description="Go on after this event; browsers send it when they come back.")
    ] = None,
) -> Response:
    """One event a change of state, named as the state, and `progress` in between; the data is JSON.

    The stream ends with the last state. An id that was seen is never sent again after `Last-Event-ID`; where it was
    the last one, the answer is 204, which keeps a browser from coming back.
    """
    owner = visible_owner(request)
    after = _number(last_event_id)
    job = await run_sync(lambda: workload.jobs.get(analysis_id, owner=owner))
    if job.finished and not await run_sync(partial(workload.jobs.events, analysis_id, after=after)):
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_events(workload, analysis_id, after), headers=headers)


async def _events(workload: Workload, analysis_id: str, after: int) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    rest, spoken = FIRST_LOOK_S, time.monotonic()
    while workload.is_open:
        try:
            found = await run_sync(partial(workload.jobs.events, analysis_id, after=after))
        except BusyError:
            found = []  # the database is locked for a moment
        for event in found:
            after, spoken, rest = event.id, time.monotonic(), FIRST_LOOK_S
            yield format_sse_event(id=str(event.id), event=event.kind, data_str=event.data)
            if event.last:
                return
        if not found and not await run_sync(workload.jobs.exists, analysis_id):
            return
        if time.monotonic() - spoken > KEEP_ALIVE_S:
            spoken = time.monotonic()
            yield format_sse_event(comment="still here")
        await anyio.sleep(rest)
        rest = min(rest * 1.3, LAST_LOOK_S)
    yield format_sse_event(comment="the server stops", retry=RESTART_MS)


def _number(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdecimal()) or len(last_event_id) > 18:
        raise RequestError("Last-Event-ID is none that this server has sent; leave it out to get every event")
    return int(last_event_id)
