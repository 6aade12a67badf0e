"""`/v1/slides`: bring a slide or name a mounted one, look at it, list, delete."""

import io
import json
from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from serving.access.principal import ForbiddenError
from serving.api.answers import ARRIVAL_ERRORS, BINARY, FORM, link_page
from serving.api.headers import is_json
from serving.api.owners import request_owner, visible_owner
from serving.api.problems import responses
from serving.api.receiving import receive_slide
from serving.api.routes import address
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import RequestError
from serving.core.words import state_time
from serving.store.archive_slides import ArchivedSeries, store_archived_series
from serving.store.cases import MAX_CASE
from serving.store.received_slides import store_received_file
from serving.store.slide_rows import StoredSlide

MAX_PAGE = 200
MAX_THUMBNAIL_PX = 2048
_MAX_JSON = 10_000


class SlideView(BaseModel):
    """One slide."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(
        description="SHA-256 of the file; of name, size and SHA-256 of each where a slide is several files."
    )
    name: str = Field(description="File name as you gave it.")
    size: int = Field(description="Bytes; 0 for a slide that you named in the server's own folder.")
    width: int = Field(description="Level-0 px.")
    height: int = Field(description="Level-0 px.")
    mpp: float | None = Field(description="Microns per level-0 px as the file states it.")
    vendor: str
    mounted: bool = Field(description="You named it in the server's own folder, where it is not changed or deleted.")
    created_at: str = Field(description="UTC, ISO 8601.")
    case: str | None = Field(description="The case that it belongs to, as its name states or somebody said.")


class SlidePage(BaseModel):
    """Some slides, the oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: list[SlideView]
    next: str | None = Field(description="Address of the next page; null on the last.")


class SlideChange(BaseModel):
    """What is to be said of a slide."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: str | None = Field(
        max_length=MAX_CASE,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="The case that it belongs to; empty for none; null for the one that its name states.",
    )


class MountedSlide(BaseModel):
    """A slide in the server's own folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(max_length=1000, description="Below the server's folder of slides.")


class ArchivedSlide(BaseModel):
    """A slide in an archive that the operator named: a series of DICOM whole-slide images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    archive: str = Field(max_length=60, description="Its name at this server.")
    study: str = Field(max_length=64, description="Study Instance UID.")
    series: str = Field(max_length=64, description="Series Instance UID.")


router = APIRouter(tags=["slides"])
_STORED = {
    201: {"model": SlideView, "description": "Stored; Location says where"},
    **responses(*ARRIVAL_ERRORS, "not-found", "not-mounted", "storage-unavailable"),
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "A form, the slide itself, a zip or tar of a slide of several files, or JSON that names a "
        "slide in the server's own folder, or a series in an archive that the server fetches from by DICOMweb.",
        "content": {
            "multipart/form-data": FORM,
            "application/octet-stream": BINARY,
            "application/json": {
                "schema": {"anyOf": [MountedSlide.model_json_schema(), ArchivedSlide.model_json_schema()]}
            },
        },
    }
}


async def bring(
    workload: ServingWorkload,
    request: Request,
    filename: Annotated[str | None, Query(max_length=1000, description="Needed where the body is the slide.")] = None,
) -> Response:
    """Streams the slide to disk and opens it once. The same slide twice is stored once."""
    owner = request_owner(request)
    if is_json(request.headers.get("content-type", "")):
        named = await _read_named(request)
        stored = await run_sync(lambda: _take(workload, named, owner))
    else:
        stored = await _receive(workload, request, owner, filename)
    return JSONResponse(_view(stored).model_dump(), 201, {"Location": address(f"/v1/slides/{stored.sha256}")})


for _method in ("post", "put"):
    getattr(router, _method)(
        "/v1/slides",
        summary="Bring a slide",
        operation_id=f"{_method}_slide",
        status_code=201,
        response_class=Response,
        responses=_STORED,
        openapi_extra=_BODY,
    )(bring)


@router.get("/v1/slides", summary="List slides", responses=responses("malformed-request", "busy"))
async def page(
    workload: ServingWorkload,
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**62, description="From a page's `next`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> SlidePage:
    """Your slides, the oldest first."""
    owner = visible_owner(request)
    found = await run_sync(lambda: workload.store.page(owner=owner, after=after, limit=limit + 1))
    more = link_page(request, after=found[limit - 1].number) if len(found) > limit else None
    return SlidePage(slides=[_view(slide) for slide in found[:limit]], next=more)


@router.get("/v1/slides/{slide_id}", summary="One slide", responses=responses("not-found", "busy"))
async def get(workload: ServingWorkload, request: Request, slide_id: str) -> SlideView:
    """Size, resolution and vendor."""
    owner = visible_owner(request)
    return _view(await run_sync(lambda: workload.store.get(slide_id, owner=owner)))


@router.get(
    "/v1/slides/{slide_id}/thumbnail",
    summary="A small picture of the slide",
    response_class=Response,
    responses={
        200: {"description": "JPEG", "content": {"image/jpeg": BINARY}},
        **responses("malformed-request", "not-found", "slide-changed", "unreadable-slide", "decoder-died", "busy"),
    },
)
async def thumbnail(
    workload: ServingWorkload,
    request: Request,
    slide_id: str,
    max_side: Annotated[int, Query(ge=16, le=MAX_THUMBNAIL_PX, description="Longer side, px.")] = 512,
) -> Response:
    """The slide without label and macro picture, which are never read."""
    owner = visible_owner(request)
    content = await run_sync(lambda: _thumbnail(workload, slide_id, owner, max_side))
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, immutable"})


@router.patch(
    "/v1/slides/{slide_id}",
    summary="Assign a slide to a case",
    responses=responses("malformed-request", "forbidden", "not-found", "slide-shared", "busy"),
)
async def change(
    workload: ServingWorkload,
    request: Request,
    slide_id: str,
    wanted: SlideChange,
    owner: Annotated[
        str | None, Query(max_length=300, description="Whose, for administrators where several have the slide.")
    ] = None,
) -> SlideView:
    """The slide and its analyses belong to the case from now on."""
    whose, anybodys = _choose_owner(request, owner)
    assigned = await run_sync(lambda: workload.store.assign_case(slide_id, wanted.case, owner=whose, anybodys=anybodys))
    return _view(assigned)


@router.delete(
    "/v1/slides/{slide_id}",
    summary="Delete a slide",
    status_code=204,
    responses=responses("malformed-request", "forbidden", "not-found", "slide-in-use", "slide-shared", "busy"),
)
async def remove(
    workload: ServingWorkload,
    request: Request,
    slide_id: str,
    owner: Annotated[
        str | None, Query(max_length=300, description="Whose, for administrators where several have the slide.")
    ] = None,
) -> Response:
    """Removes your slide; results of its analyses stay. Refused while an analysis needs it.

    Everybody who brought the slide has it on their own. An administrator who has none removes that of the one who has it.
    """
    whose, anybodys = _choose_owner(request, owner)
    await run_sync(lambda: workload.store.remove(slide_id, owner=whose, anybodys=anybodys))
    return Response(status_code=204)


def _choose_owner(request: Request, owner: str | None) -> tuple[str, bool]:
    """Whose slide a request changes, and whether that of the one who has it is meant where they have none."""
    administrator = visible_owner(request) is None
    if owner is not None and not administrator and owner != request_owner(request):
        raise ForbiddenError("only administrators change or remove slides of others")
    return owner or request_owner(request), administrator and owner is None


async def _receive(workload: Workload, request: Request, owner: str, filename: str | None) -> StoredSlide:
    settings = workload.settings
    async with receive_slide(request, workload, filename=filename) as received:

        def keep() -> StoredSlide:
            return store_received_file(
                workload.store,
                received.path,
                owner=owner,
                name=received.name,
                max_bytes=settings.max_upload_bytes,
                sha256=received.sha256,
            )

        return await run_sync(keep)


def _take(workload: Workload, named: MountedSlide | ArchivedSlide, owner: str) -> StoredSlide:
    if isinstance(named, MountedSlide):
        return workload.store.mount(named.path, owner=owner)
    series = ArchivedSeries(named.archive, named.study, named.series)
    return store_archived_series(workload.store, series, Path(workload.spool), owner=owner)


async def _read_named(request: Request) -> MountedSlide | ArchivedSlide:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_JSON:
            raise RequestError('the JSON names more than a path; send {"path": "FOLDER/SLIDE.svs"}')
    try:
        stated = json.loads(body)  # it passes over a byte order mark, as all routes do
        kind: type[MountedSlide] | type[ArchivedSlide] = (
            ArchivedSlide if isinstance(stated, dict) and "archive" in stated else MountedSlide
        )
        return kind.model_validate(stated)
    except (ValueError, ValidationError, RecursionError) as error:
        raise RequestError(
            'the JSON is not understood; send {"path": "FOLDER/SLIDE.svs"}, or {"archive": NAME, "study": UID, "series": UID}'
        ) from error


def _thumbnail(workload: Workload, slide_id: str, owner: str | None, max_side: int) -> bytes:
    stored = workload.store.get(slide_id, owner=owner)
    with workload.store.open(stored.sha256, name=stored.name) as slide:
        pixels = slide.thumbnail(max_side)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _view(slide: StoredSlide) -> SlideView:
    return SlideView(
        id=slide.sha256,
        name=slide.name,
        size=slide.size,
        width=slide.width,
        height=slide.height,
        mpp=slide.mpp,
        vendor=slide.vendor,
        mounted=slide.mounted,
        created_at=state_time(slide.created_at),
        case=slide.case or None,
    )
