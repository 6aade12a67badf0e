"""`/v1/analyses/{id}/regions`: where people count in a result, and what they leave out; the record says who drew what and when."""

import tempfile
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.api.answers import BINARY
from serving.api.headers import media_type
from serving.api.owners import request_author, visible_owner
from serving.api.problems import responses
from serving.api.recounting import find_regions
from serving.api.results import ResultCache
from serving.api.services import ServingResults, ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import RequestError
from serving.core.geometry import Region
from serving.core.outlines import Outlines, hash_outlines, parse_outlines
from serving.core.report import Report
from serving.core.words import RESEARCH_USE, state_time
from serving.exports.geojson import draw_regions
from serving.isolation.slide import open_isolated
from serving.review.region_store import RegionChange, RegionNote, RegionStore, Use
from serving.scoring.mask_outlines import check_mask_size, trace_mask
from serving.store.errors import NotFoundError

_GEOJSON = ("application/geo+json", "application/json")
_PICTURES = {"image/png": "mask.png", "image/tiff": "mask.tif"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegionsRequest(_Part):
    """All regions of a result, as they are from now on; null in both counts everywhere."""

    within: dict[str, Any] | None = Field(None, description="Regions to count in: GeoJSON, see `options.within`.")
    exclude: dict[str, Any] | None = Field(None, description="Regions to leave out, in the same form.")
    reviewer: str = Field("", max_length=80, description="Tells apart several people who use one key.")
    reason: str = Field("", max_length=2000)


class RegionNoteView(_Part):
    """When somebody drew."""

    number: int
    at: str = Field(description="UTC, ISO 8601.")
    author: str = Field(description="Whose key was shown.")
    reviewer: str
    reason: str
    sha256: str | None = Field(description="`settings.counting.regions_sha256` of reports that count in them.")


class RegionsView(_Part):
    """The regions that count, and the record of all before them."""

    within: dict[str, Any] | None = Field(description="GeoJSON in level-0 px, which its `unit` says; null: everywhere.")
    exclude: dict[str, Any] | None = Field(description="The same; null: nothing.")
    sha256: str | None
    drawn: RegionNoteView | None = Field(
        description="The entry that these are of; null where they are those that the slide was scored with."
    )
    entries: list[RegionNoteView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(tags=["reviews"])


@router.get(
    "/v1/analyses/{analysis_id}/regions",
    summary="Where figures are counted",
    responses=responses("malformed-request", "not-found", "not-finished", "busy"),
)
async def read(
    workload: ServingWorkload,
    results: ServingResults,
    request: Request,
    analysis_id: str,
    number: Annotated[int | None, Query(ge=1, le=2**62, description="Of an entry, in place of the last one.")] = None,
) -> RegionsView:
    """The regions that counts and exports use unless they are told otherwise, or those of an earlier entry."""
    owner = visible_owner(request)
    return await run_sync(lambda: _view(workload, results, analysis_id, owner=owner, number=number))


@router.put(
    "/v1/analyses/{analysis_id}/regions",
    summary="Draw where figures are counted",
    responses=responses("malformed-request", "not-found", "not-finished", "busy", "roi-outside-slide"),
)
async def draw(
    workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str, wanted: RegionsRequest
) -> RegionsView:
    """Adds an entry to the record; counts and exports use it from now on, and the result stays as it is."""
    owner, author = visible_owner(request), request_author(request)

    def record() -> RegionsView:
        job, analysis = results.get(analysis_id, owner=owner)
        placed = [
            None if stated is None else parse_outlines(stated).place(analysis.report.slide)
            for stated in (wanted.within, wanted.exclude)
        ]
        change = RegionChange(author, wanted.reviewer, placed[0], placed[1], wanted.reason)
        RegionStore(workload.database).record(job.id, change)
        return _view(workload, results, analysis_id, owner=owner)

    return await run_sync(record)


@router.put(
    "/v1/analyses/{analysis_id}/regions/{use}",
    summary="Draw by a file",
    responses=responses(
        "malformed-request", "not-found", "not-finished", "busy", "roi-outside-slide", "unreadable-slide"
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "GeoJSON of QuPath, or a mask picture in which whatever is not black lies inside.",
            "content": {"application/geo+json": BINARY, "image/png": BINARY, "image/tiff": BINARY},
        }
    },
)
async def draw_by_file(
    workload: ServingWorkload,
    results: ServingResults,
    request: Request,
    analysis_id: str,
    *,
    use: Annotated[Use, Path(description="What the file replaces; the other regions stay.")],
    mask_mpp: Annotated[
        float | None, Query(gt=0, le=500, allow_inf_nan=False, description="um per px of a mask picture.")
    ] = None,
    reviewer: Annotated[str, Query(max_length=80)] = "",
    reason: Annotated[str, Query(max_length=2000)] = "",
) -> RegionsView:
    """Adds an entry with the file's regions in place of those for the same use."""
    owner, author = visible_owner(request), request_author(request)
    kind, content = media_type(request.headers.get("content-type", "")), await request.body()

    def record() -> RegionsView:
        job, analysis = results.get(analysis_id, owner=owner)
        report = analysis.report
        placed = _read_file(workload, kind, content, mask_mpp).place(report.slide)
        within, exclude = find_regions(workload, job.id, report, "current")
        change = RegionChange(author, reviewer, within, exclude, reason)
        RegionStore(workload.database).replace(job.id, use, placed, change)
        return _view(workload, results, analysis_id, owner=owner)

    return await run_sync(record)


@router.get(
    "/v1/analyses/{analysis_id}/regions.geojson",
    summary="Regions as QuPath reads them",
    response_class=Response,
    responses={
        200: {"description": "GeoJSON", "content": {"application/geo+json": BINARY}},
        **responses("not-found", "not-finished", "busy"),
    },
)
async def export(workload: ServingWorkload, results: ServingResults, request: Request, analysis_id: str) -> Response:
    """An annotation for each region, with its classification; `metadata.counts` says `within` or `exclude`."""
    owner = visible_owner(request)

    def drawn() -> tuple[Report, bytes]:
        job, analysis = results.get(analysis_id, owner=owner)
        report = analysis.report
        counting = report.settings.counting
        if counting is not None:
            within, exclude = find_regions(workload, job.id, report, "current")
            stated = {
                name: None if o is None else o.as_report() for name, o in (("within", within), ("exclude", exclude))
            }
            settings = report.settings.model_copy(update={"counting": counting.model_copy(update=stated)})
            report = report.model_copy(update={"settings": settings})
        return report, draw_regions(report)

    report, content = await run_sync(drawn)
    headers = {"Content-Disposition": f'attachment; filename="{report.analysis_id}-regions.geojson"'}
    return Response(content, media_type="application/geo+json", headers=headers)


def _view(
    workload: Workload, results: ResultCache, analysis_id: str, *, owner: str | None, number: int | None = None
) -> RegionsView:
    job, analysis = results.get(analysis_id, owner=owner)
    store = RegionStore(workload.database)
    found = store.find(job.id, number)
    if number is not None and found is None:
        raise NotFoundError(f"nobody drew entry {number} of this analysis")
    within, exclude = (
        find_regions(workload, job.id, analysis.report, "scored") if found is None else (found.within, found.exclude)
    )
    stated = [None if outlines is None else outlines.as_report() for outlines in (within, exclude)]
    return RegionsView(
        within=None if within is None else within.as_geojson(),
        exclude=None if exclude is None else exclude.as_geojson(),
        sha256=None if stated == [None, None] else hash_outlines(*stated),
        drawn=None if found is None else _note(found.note),
        entries=[_note(note) for note in store.notes(job.id)],
    )


def _note(note: RegionNote) -> RegionNoteView:
    return RegionNoteView(
        number=note.number,
        at=state_time(note.at),
        author=note.author,
        reviewer=note.reviewer,
        reason=note.reason,
        sha256=note.sha256,
    )


def _read_file(workload: Workload, kind: str, content: bytes, mask_mpp: float | None) -> Outlines:
    """The regions that a body of some media type states; pictures are decoded in a process of their own, as slides are."""
    if kind in _GEOJSON:
        try:
            return parse_outlines(content.decode())
        except UnicodeDecodeError as error:
            raise RequestError("the regions are no text in UTF-8: send GeoJSON as QuPath exports it") from error
    if kind not in _PICTURES:
        raise RequestError(f"regions come as {', '.join((*_GEOJSON, *_PICTURES))}: say which by Content-Type")
    with tempfile.TemporaryDirectory(prefix="mask-", dir=workload.spool) as folder:
        path = FilePath(folder) / _PICTURES[kind]
        path.write_bytes(content)
        with open_isolated(workload.store.decoders, path, name=path.name) as picture:
            check_mask_size(picture.width, picture.height, path.stem)
            whole = Region(0, 0, picture.width, picture.height)
            marked = picture.read(whole, picture.width, picture.height).any(2)
            return trace_mask(np.asarray(marked), path.stem, mask_mpp or picture.mpp)
