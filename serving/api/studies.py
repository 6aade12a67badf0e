"""`/v1/studies`: sets of analyses that several readers judge, each alone and in an order of their own."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from serving.access.projects import OWNER_PREFIX, ProjectStore, includes
from serving.api.answers import BINARY
from serving.api.owners import request_author, request_owner, visible_owner
from serving.api.problems import responses
from serving.api.results import ResultCache
from serving.api.routes import address
from serving.api.services import ServingResults, ServingWorkload
from serving.api.study_views import (
    StudyList,
    StudyReadingView,
    StudyRequest,
    StudyResultsView,
    StudyView,
    VisitRequest,
    view_reading,
    view_results,
    view_study,
)
from serving.api.workload import Workload
from serving.review.studies import StudyError, StudyReader, StudyStore, StudyVisit
from serving.review.study_results import StudyResults, collect_results
from serving.review.study_tables import TABLES

router = APIRouter(tags=["studies"])
_Reviewer = Annotated[str, Query(max_length=80, description="Your name as a reader of the study.")]


@router.get("/v1/studies", summary="Your studies", responses=responses("busy"))
async def studies(workload: ServingWorkload, request: Request) -> StudyList:
    """The newest first, with how far readers are."""
    owner, you = visible_owner(request), request_author(request)
    store = StudyStore(workload.database)
    found = await run_sync(lambda: [view_study(store, study, you) for study in store.find_all(owner)])
    return StudyList(studies=found)


@router.post(
    "/v1/studies",
    summary="Make a study",
    status_code=201,
    response_model=StudyView,
    responses=responses("malformed-request", "not-found", "busy"),
)
async def create(workload: ServingWorkload, request: Request, wanted: StudyRequest) -> Response:
    """Each reader gets the slides in a random order of their own, which stays."""
    owner, you = request_owner(request), request_author(request)
    readers = [(reader.author, reader.reviewer.strip()) for reader in wanted.readers]
    store = StudyStore(workload.database)

    def make() -> StudyView:
        _check_readers(workload, owner, [author for author, _ in readers])
        made = store.create(owner, wanted.name.strip(), wanted.analyses, readers, by=you, seed=wanted.seed)
        return view_study(store, made, you)

    view = await run_sync(make)
    return JSONResponse(view.model_dump(mode="json"), 201, {"Location": address(f"/v1/studies/{view.id}")})


@router.get("/v1/studies/{study_id}", summary="A study", responses=responses("not-found", "busy"))
async def read(workload: ServingWorkload, request: Request, study_id: str) -> StudyView:
    """With how far its readers are."""
    owner, you = visible_owner(request), request_author(request)
    store = StudyStore(workload.database)
    return await run_sync(lambda: view_study(store, store.get(study_id, owner=owner), you))


@router.delete(
    "/v1/studies/{study_id}", summary="Remove a study", status_code=204, responses=responses("not-found", "busy")
)
async def remove(workload: ServingWorkload, request: Request, study_id: str) -> Response:
    """With all that its readers said in it. Slides, analyses and other reviews stay."""
    owner = visible_owner(request)
    await run_sync(lambda: StudyStore(workload.database).remove(study_id, owner=owner))
    return Response(status_code=204)


@router.get("/v1/studies/{study_id}/reading", summary="Your slides to read", responses=responses("not-found", "busy"))
async def reading(
    workload: ServingWorkload, request: Request, study_id: str, reviewer: _Reviewer = ""
) -> StudyReadingView:
    """In your order. Only a reader of the study has them."""
    owner, reader = visible_owner(request), StudyReader(study_id, request_author(request), reviewer)
    return await run_sync(lambda: _show_reading(workload, reader, owner=owner))


@router.put(
    "/v1/studies/{study_id}/reading/{analysis_id}",
    summary="Time and end of a slide",
    responses=responses("malformed-request", "not-found", "busy"),
)
async def note(
    workload: ServingWorkload, request: Request, study_id: str, analysis_id: str, wanted: VisitRequest
) -> StudyReadingView:
    """Keeps how long you looked at a slide, and that you have ended with it: verdicts are then as they are."""
    owner, reader = visible_owner(request), StudyReader(study_id, request_author(request), wanted.reviewer)
    visit = StudyVisit(wanted.visit, wanted.active_s) if wanted.visit else None

    def keep() -> StudyReadingView:
        store = StudyStore(workload.database)
        store.get(study_id, owner=owner)
        store.note(reader, analysis_id, visit, finished=wanted.finished)
        return _show_reading(workload, reader, owner=owner)

    return await run_sync(keep)


@router.get(
    "/v1/studies/{study_id}/results",
    summary="Counts of readers, and agreement",
    responses=responses("not-found", "study-unfinished", "result-lost", "busy"),
)
async def results(workload: ServingWorkload, kept: ServingResults, request: Request, study_id: str) -> StudyResultsView:
    """Of all readers. A reader gets them once their own slides are finished."""
    owner, you = visible_owner(request), request_author(request)

    def show() -> StudyResultsView:
        found = _collect(workload, kept, study_id, owner=owner, you=you)
        return view_results(found, view_study(StudyStore(workload.database), found.study, you))

    return await run_sync(show)


@router.get(
    "/v1/studies/{study_id}/results/{table}.csv",
    summary="Readings as a table",
    response_class=Response,
    responses={
        200: {"description": "CSV in UTF-8", "content": {"text/csv": BINARY}},
        **responses("malformed-request", "not-found", "study-unfinished", "result-lost", "busy"),
    },
)
async def table(
    workload: ServingWorkload,
    kept: ServingResults,
    request: Request,
    study_id: str,
    table: Literal["readings", "slides", "agreement"],
) -> Response:
    """`readings`: a line for each reader, slide and object; `slides`: one for each reader and slide; `agreement`."""
    owner, you = visible_owner(request), request_author(request)
    content = await run_sync(lambda: TABLES[table](_collect(workload, kept, study_id, owner=owner, you=you)))
    headers = {
        "Content-Disposition": f'attachment; filename="study-{study_id}-{table}.csv"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


def _check_readers(workload: Workload, owner: str, authors: list[str]) -> None:
    """Readers must be able to see the slides and to say something of them.

    Raises
    ------
    StudyError
        If one cannot.
    """
    if owner.startswith(OWNER_PREFIX):
        members = ProjectStore(workload.database).members(owner.removeprefix(OWNER_PREFIX))
        able = {member.principal for member in members if includes(member.role, "reviewer")}
        advice = "add them to the project as reviewers first"
    else:
        able, advice = {owner}, "slides of your own are read with your own key: make a project for people with others"
    unable = [author for author in authors if author not in able]
    if unable:
        raise StudyError(f"readers: {unable[0][:80]!r} cannot read here; {advice}")


def _show_reading(workload: Workload, reader: StudyReader, *, owner: str | None) -> StudyReadingView:
    store = StudyStore(workload.database)
    study = store.get(reader.study, owner=owner)
    return view_reading(study, reader, store.readings(reader))


def _collect(workload: Workload, kept: ResultCache, study_id: str, *, owner: str | None, you: str) -> StudyResults:
    store = StudyStore(workload.database)
    study = store.get(study_id, owner=owner)
    store.check_ended(study, you)
    return collect_results(workload.database, study, lambda analysis: kept.get_report(analysis, owner=owner))
