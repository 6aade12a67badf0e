"""`/v1/worklist` and `/v1/cases`: slides with what came of them, searched, sorted and filtered by the server."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from serving.api.analysis import AnalysisView, view
from serving.api.owners import request_author, visible_owner
from serving.api.problems import responses
from serving.api.services import ServingWorkload
from serving.core.words import state_time
from serving.jobs.job import State
from serving.review.worklist import SortKey, Worklist, WorklistFilter, WorklistRow
from serving.store.cases import MAX_CASE

MAX_PAGE = 200
_MAX_CASES = 1000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReaderCountView(_Part):
    """What you made of a result."""

    mitotic_figures: int = Field(
        description="The model's, at its own threshold, without those that you rejected, with those that you added."
    )
    judged: int = Field(description="Of the model's figures, those that have your verdict.")


class WorklistRowView(_Part):
    """A slide, its newest analysis, its newest result, and your review of that."""

    slide: str = Field(description="Id of the slide.")
    owner: str
    name: str
    case: str | None
    created_at: str = Field(description="UTC, ISO 8601.")
    deleted: bool = Field(description="The slide was deleted; its analyses are kept.")
    mpp: float | None = Field(description="Microns per level-0 px as the file states it.")
    width: int | None = Field(description="Level-0 px; null where the slide was deleted.")
    height: int | None = Field(description="Level-0 px; null where the slide was deleted.")
    analyses: int = Field(description="How many there are.")
    latest: AnalysisView | None = Field(description="The newest, in whatever state.")
    scored: AnalysisView | None = Field(description="The newest that has a result.")
    reviewed: ReaderCountView | None = Field(description="By you, of `scored`; null where you said nothing.")
    readers: int = Field(description="How many people said something of `scored`.")
    unsent: int = Field(
        description="Files of `scored` that the server should have sent and could not: `sent` of the analysis says why."
    )


class WorklistPage(_Part):
    """Some rows of the worklist."""

    rows: list[WorklistRowView]
    offset: int
    total: int = Field(description="Rows in all that were asked for.")


class CaseView(_Part):
    """A case."""

    name: str
    slides: int = Field(description="How many belong to it.")


class CaseList(_Part):
    """Cases in the order of their names."""

    cases: list[CaseView]


router = APIRouter(tags=["slides"])


@router.get("/v1/worklist", summary="Slides with what came of them", responses=responses("malformed-request", "busy"))
async def page(
    workload: ServingWorkload,
    request: Request,
    *,
    search: Annotated[
        str, Query(max_length=200, description="Words that name or case hold, all of them, whatever the letters' case.")
    ] = "",
    case: Annotated[
        str | None, Query(max_length=MAX_CASE, description="Only of this case; empty: of slides without one.")
    ] = None,
    state: Annotated[
        list[State | Literal["none"]] | None,
        Query(description="Of the newest analysis, `none` without one; repeat for several."),
    ] = None,
    reviewed: Annotated[bool | None, Query(description="Whether you said anything of the newest result.")] = None,
    warnings: Annotated[
        bool | None, Query(description="Whether the newest result has warnings, or files that could not be sent.")
    ] = None,
    reviewer: Annotated[
        str, Query(max_length=80, description="You are, of the people with your key, the one of this name.")
    ] = "",
    sort: Annotated[SortKey, Query(description="What rows are sorted by; equal ones by case and name.")] = "created",
    order: Literal["ascending", "descending"] = "descending",
    offset: Annotated[int, Query(ge=0, le=2**31, description="Rows before the first.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> WorklistPage:
    """A row for each of your slides, also for those that were deleted and have analyses still."""
    wanted = WorklistFilter(
        owner=visible_owner(request),
        search=search,
        case=case,
        states=tuple(state or ()),
        reviewed=reviewed,
        warned=warnings,
        reader=(request_author(request), reviewer),
    )
    worklist = Worklist(workload.database)
    rows, total = await run_sync(
        lambda: worklist.page(wanted, sort=sort, descending=order == "descending", offset=offset, limit=limit)
    )
    return WorklistPage(rows=[_row(row) for row in rows], offset=offset, total=total)


@router.get("/v1/cases", summary="Cases", responses=responses("malformed-request", "busy"))
async def cases(
    workload: ServingWorkload,
    request: Request,
    search: Annotated[str, Query(max_length=MAX_CASE, description="What their names hold.")] = "",
    limit: Annotated[int, Query(ge=1, le=_MAX_CASES)] = 200,
) -> CaseList:
    """The cases that your slides belong to."""
    owner = visible_owner(request)
    found = await run_sync(lambda: workload.store.cases(owner=owner, search=search, limit=limit))
    return CaseList(cases=[CaseView(name=name, slides=number) for name, number in found])


def _row(row: WorklistRow) -> WorklistRowView:
    reviewed = row.reviewed
    return WorklistRowView(
        slide=row.sha256,
        owner=row.owner,
        name=row.name,
        case=row.case or None,
        created_at=state_time(row.created_at),
        deleted=row.deleted,
        mpp=row.mpp,
        width=row.width,
        height=row.height,
        analyses=row.analyses,
        latest=None if row.latest is None else view(row.latest),
        scored=None if row.scored is None else view(row.scored),
        reviewed=None
        if reviewed is None
        else ReaderCountView(mitotic_figures=reviewed.figures, judged=reviewed.judged),
        readers=row.readers,
        unsent=row.unsent,
    )
