"""`/v1/analyses/{id}/readings`: an analysis is given to readers, who see no verdicts but their own until they have finished."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.access.projects import OWNER_PREFIX, NoSuchProjectError, ProjectStore, includes
from serving.api.owners import request_author, visible_owner
from serving.api.problems import responses
from serving.api.reviews import ReadingView, view_reading
from serving.api.routes import address
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import RequestError
from serving.core.words import RESEARCH_USE
from serving.jobs.job import AnalysisJob
from serving.review.readings import ReadingStore, Stage, find_stage

Number = Annotated[int, Path(ge=1, le=2**62, description="Of the reading.")]


class ReadingRequest(BaseModel):
    """To whom an analysis is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: str | None = Field(
        None,
        max_length=300,
        description="Whose key is shown: `id` of /v1/me; null for yours. Others are members of the project.",
    )
    reviewer: str = Field("", max_length=80, description="What the reader is called; tells apart people with one key.")


class ReadingsView(BaseModel):
    """The readings of an analysis, without what was said in them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    you: str
    stage: Stage = Field(description="As /v1/analyses/{id}/reviews states it.")
    readings: list[ReadingView] = Field(description="In the order in which they were given; at most two.")
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/readings",
    summary="Who reads, and who has finished",
    responses=responses("not-found", "not-finished", "busy"),
)
async def read(workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str) -> ReadingsView:
    """Who was given the analysis, when and by whom, and who has finished."""
    owner, you = visible_owner(request), request_author(request)

    def look() -> ReadingsView:
        job, _ = results.get(analysis_id, owner=owner)
        return _view(workload, job.id, you=you)

    return await run_sync(look)


@router.post(
    "/v1/analyses/{analysis_id}/readings",
    summary="Give an analysis to a reader",
    status_code=201,
    response_model=ReadingView,
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "busy"),
)
async def give(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: ReadingRequest
) -> Response:
    """From now on the reader is shown no verdict of anybody else's, until the reading is finished."""
    owner, you = visible_owner(request), request_author(request)

    def given() -> ReadingView:
        job, _ = results.get(analysis_id, owner=owner)
        reader = wanted.reader or you
        _check_reader(workload, job, reader, you=you)
        found = ReadingStore(workload.database).give(job.id, reader=reader, reviewer=wanted.reviewer, by=you)
        return view_reading(found, you=you)

    view = await run_sync(given)
    where = address(f"/v1/analyses/{analysis_id}/readings/{view.number}")
    return JSONResponse(view.model_dump(mode="json"), 201, {"Location": where})


@router.post(
    "/v1/analyses/{analysis_id}/readings/{number}/finish",
    summary="Finish your reading",
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "busy"),
)
async def finish(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, number: Number
) -> ReadingsView:
    """Its verdicts stay as they are from now on; what others said is shown to you."""
    owner, you = visible_owner(request), request_author(request)

    def finished() -> ReadingsView:
        job, _ = results.get(analysis_id, owner=owner)
        ReadingStore(workload.database).finish(job.id, number, principal=you)
        return _view(workload, job.id, you=you)

    return await run_sync(finished)


@router.delete(
    "/v1/analyses/{analysis_id}/readings/{number}",
    summary="Take an unfinished reading back",
    status_code=204,
    responses=responses("malformed-request", "not-found", "not-finished", "reading-conflict", "busy"),
)
async def withdraw(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, number: Number
) -> Response:
    """It does not count any more; what was said in it stays on record. A reader cannot do so with the own reading."""
    owner, you = visible_owner(request), request_author(request)

    def withdrawn() -> None:
        job, _ = results.get(analysis_id, owner=owner)
        ReadingStore(workload.database).withdraw(job.id, number, principal=you)

    await run_sync(withdrawn)
    return Response(status_code=204)


def _view(workload: Workload, analysis_id: str, *, you: str) -> ReadingsView:
    found = ReadingStore(workload.database).list(analysis_id)
    return ReadingsView(you=you, stage=find_stage(found, you), readings=[view_reading(one, you=you) for one in found])


def _check_reader(workload: Workload, job: AnalysisJob, reader: str, *, you: str) -> None:
    """Refuse a reader who could not open the analysis."""
    if reader in (you, job.owner):
        return
    if not job.owner.startswith(OWNER_PREFIX):
        raise RequestError(
            "reader: nobody else sees this analysis; give its slide to a project in which the reader is a member"
        )
    try:
        role = ProjectStore(workload.database).find_role(
            job.owner.removeprefix(OWNER_PREFIX), reader, administrator=False
        )
    except NoSuchProjectError:
        raise RequestError(f"reader: {reader[:80]!r} is no member of the project; its managers add members") from None
    if not includes(role, "reviewer"):
        raise RequestError(
            f"reader: {reader[:80]!r} may only look in this project; a reader's role is reviewer or more"
        )
