"""`/v1/registry/shadows`: candidates that repeat a share of analyses, and how they compare with what serves. For administrators."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from fastapi import Path as Number
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.api.answers import BINARY, choose, link_page
from serving.api.headers import join_field_lines
from serving.api.owners import request_author
from serving.api.problems import responses
from serving.api.registry import Label
from serving.api.routes import address
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.comparison.page import comparison_page
from serving.comparison.pair import Disagreement, Kind, Pair
from serving.comparison.summary import Comparison, find_latest_models, summarise
from serving.core.words import RESEARCH_USE, state_time
from serving.registry.shadows import Shadow, State

MAX_PAGE = 500
GALLERY = "/viewer/disagreements.html"
_FORMATS = {"json": "application/json", "html": "text/html"}

ShadowNumber = Annotated[int, Number(ge=1, le=2**62)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WantedShadow(_Part):
    """A candidate, and how much it shall see."""

    models: list[Label] = Field(
        min_length=1, max_length=10, description="A version of each model, such as det@1.1.0, or one number of all."
    )
    share: float = Field(0.1, gt=0, le=1, description="Of the analyses of kept slides, chosen by their ids.")


class ShadowView(_Part):
    """A candidate that repeats a share of analyses, apart from them and only while nothing else waits."""

    number: int
    models: list[str]
    share: float
    state: State
    detail: str = Field(description="Why it ended, or cannot go on at the moment.")
    serves: bool = Field(description="Its models are those that serve, so that it repeats nothing at the moment.")
    created_at: str = Field(description="UTC, ISO 8601.")
    ended_at: str | None
    actor: str
    analyses: dict[str, int] = Field(description="How many there are in each state.")
    faults: list[str] = Field(
        description="Why the latest failed that did; the analyses that they repeat know nothing of it."
    )


class ShadowList(_Part):
    """The latest shadows, the newest first."""

    shadows: list[ShadowView]


class Place(_Part):
    """A disagreement, with where to look at it."""

    analysis: str = Field(description="Id of the analysis that was repeated.")
    slide: str = Field(description="Id of the slide.")
    slide_name: str
    mpp: float
    width: int = Field(description="Of the slide, level-0 px.")
    height: int
    place: Disagreement


class PlacePage(_Part):
    """Some disagreements, slide by slide in the order in which they were scored, the likeliest of each first."""

    models: tuple[list[str], list[str]] = Field(description="Of the release that served, and of the candidate.")
    places: list[Place]
    next: str | None = Field(description="Address of the next page; null on the last.")
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(prefix="/v1/registry/shadows", tags=["models"])


@router.get("", summary="List shadows", responses=responses("busy"))
async def latest(workload: ServingWorkload) -> ShadowList:
    """Candidates that ran beside what serves, and what each has done."""
    return await run_sync(lambda: ShadowList(shadows=[_view(workload, s) for s in workload.registry.shadows.latest()]))


@router.post(
    "",
    summary="Start a shadow",
    status_code=201,
    response_model=ShadowView,
    responses=responses("malformed-request", "not-found", "model-conflict", "model-unavailable", "busy"),
)
async def start(workload: ServingWorkload, request: Request, wanted: WantedShadow) -> Response:
    """A share of analyses is repeated with these models once nothing else waits; what serves and what it says stays.

    The workers check and load them; a shadow that runs already is stopped.
    """
    actor = request_author(request)

    def started() -> ShadowView:
        return _view(workload, workload.registry.shadow(wanted.models, wanted.share, actor, check=False))

    view = await run_sync(started)
    return JSONResponse(view.model_dump(mode="json"), 201, {"Location": address(f"/v1/registry/shadows/{view.number}")})


@router.get("/{number}", summary="One shadow", responses=responses("malformed-request", "not-found", "busy"))
async def get(workload: ServingWorkload, number: ShadowNumber) -> ShadowView:
    """Whether it runs, and what it has done."""
    return await run_sync(lambda: _view(workload, workload.registry.shadows.get(number)))


@router.post("/{number}/stop", summary="Stop a shadow", responses=responses("malformed-request", "not-found", "busy"))
async def stop(workload: ServingWorkload, number: ShadowNumber) -> ShadowView:
    """What waits for it is forgotten; what it has gathered stays as long as the analyses that it repeated."""
    return await run_sync(lambda: _view(workload, workload.registry.shadows.stop(number)))


@router.get(
    "/{number}/comparison",
    summary="A candidate compared with what served",
    response_class=Response,
    responses={
        200: {
            "model": Comparison,
            "description": "By Accept: JSON, or a page",
            "content": {"text/html": BINARY},
        },
        **responses("malformed-request", "not-found", "not-acceptable", "busy"),
    },
)
async def comparison(workload: ServingWorkload, request: Request, number: ShadowNumber) -> Response:
    """Counts, places, hotspots, categories and scores of all slides that both have scored."""
    wanted = choose(join_field_lines(request, "accept") or "*/*", _FORMATS)

    def made() -> bytes:
        workload.registry.shadows.get(number)
        pairs = [pair for _, pair in workload.shadows.pairs(number)]
        found = summarise(pairs)
        if wanted == "json":
            return found.model_dump_json().encode()
        return comparison_page(found, pairs, gallery=address(f"{GALLERY}#shadow={number}"))

    return Response(await run_sync(made), media_type=_FORMATS[wanted], headers={"Vary": "Accept"})


@router.get(
    "/{number}/disagreements",
    summary="Where a candidate and what served disagree",
    responses=responses("malformed-request", "not-found", "busy"),
)
async def disagreements(
    workload: ServingWorkload,
    request: Request,
    *,
    number: ShadowNumber,
    kind: Annotated[list[Kind] | None, Query(description="Only these kinds; repeat for several.")] = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> PlacePage:
    """Places that one counts as a mitotic figure and the other does not; `/viewer/disagreements.html` shows them."""

    def found() -> tuple[tuple[list[str], list[str]], list[Place]]:
        workload.registry.shadows.get(number)
        pairs = _pairs(workload, number)
        models = find_latest_models([pair for _, pair in pairs])
        return models, list(islice(_places(pairs, kind or ()), offset, offset + limit + 1))

    models, places = await run_sync(found)
    more = link_page(request, offset=offset + limit) if len(places) > limit else None
    return PlacePage(models=models, places=places[:limit], next=more)


def _view(workload: Workload, shadow: Shadow) -> ShadowView:
    record = workload.shadows
    return ShadowView(
        number=shadow.number,
        models=[model.label for model in shadow.models],
        share=shadow.share,
        state=shadow.state,
        detail=shadow.detail,
        serves=shadow.models == workload.registry.serving(required=False),
        created_at=state_time(shadow.at),
        ended_at=state_time(shadow.ended_at),
        actor=shadow.actor,
        analyses=record.counts(shadow.number),
        faults=record.faults(shadow.number),
    )


def _pairs(workload: Workload, number: int) -> list[tuple[str, Pair]]:
    """What a shadow has gathered beside the release that served last while it ran."""
    found = list(workload.shadows.pairs(number))
    latest = find_latest_models([pair for _, pair in found])
    return [(analysis, pair) for analysis, pair in found if (pair.first.models, pair.second.models) == latest]


def _places(pairs: list[tuple[str, Pair]], kinds: Collection[Kind]) -> Iterator[Place]:
    for analysis, pair in pairs:
        for place in pair.disagreements:
            if not kinds or place.kind in kinds:
                yield Place(
                    analysis=analysis,
                    slide=pair.slide,
                    slide_name=pair.name,
                    mpp=pair.mpp,
                    width=pair.width,
                    height=pair.height,
                    place=place,
                )
