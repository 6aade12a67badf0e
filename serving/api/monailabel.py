"""`/v1/monailabel`: the addresses that QuPath's MONAI Label extension calls, so that it works as it is.

Written against the client's source (MONAILabel, plugins/qupath: MonaiLabelClient.java, RunInference.java). It sends no key,
so it reaches a server on its own machine that was started with `--no-key`, or one behind a proxy that adds the header. Its coordinates are
QuPath's, which begin where a slide's bounds do.
"""

import json
import unicodedata
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.responses import Response

from serving import __version__
from serving.api.answers import ARRIVAL_ERRORS, BINARY, RESULT_ERRORS
from serving.api.headers import whole_number
from serving.api.owners import request_owner, visible_owner
from serving.api.problems import NoSuchModelError, responses
from serving.api.results import load_job_result
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import RequestError, SlideTooLargeError
from serving.core.geometry import Roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.exports.asap import FIGURES, AsapAnnotation, asap_document
from serving.exports.file_px import in_file_px
from serving.jobs.table import Submission
from serving.store.errors import NotFoundError
from serving.store.received_slides import safe_name, store_received_file
from serving.store.slide_rows import StoredSlide

LABEL = "Mitosis"
MODELS = {"mitosis": None, "mitosis-crop-0.25um": 0.25, "mitosis-crop-0.5um": 0.5}
"""Microns per px by model: a crop states none, and the extension has no other field for it. Names are
without blanks, which it writes as plus signs into a path."""
MAX_CROP_BYTES = 256 * 2**20
"""Of a crop that the extension cuts from a slide that is not here; pictures may have no more pixels than that anyway."""
_ROOT = "/v1/monailabel"
_PAGE = 200
_GROUP = (LABEL, FIGURES[1])


class InferRequest(BaseModel):
    """What the extension sends; what it says of tiles and clicks has no meaning here."""

    location: tuple[int, int] = Field((0, 0), description="Level-0 px from where the slide's bounds begin.")
    size: tuple[int, int] = Field((0, 0), description="Level-0 px; 0, 0 for all.")

    def roi(self, origin: tuple[int, int], scale: tuple[float, float]) -> Roi | None:
        """What was selected, level-0 px from OpenSlide's origin; None for all. scale : px of the file per level-0 px."""
        (left, top), (width, height) = self.location, self.size
        if width <= 0 or height <= 0:
            return None
        (across, down), (x0, y0) = scale, origin
        x, y, right, bottom = (
            left / across + x0,
            top / down + y0,
            (left + width) / across + x0,
            (top + height) / down + y0,
        )
        return Roi(((x, y), (right, y), (right, bottom), (x, bottom)))


router = APIRouter(prefix=_ROOT, tags=["viewers"])
_XML: dict[int | str, dict[str, Any]] = {200: {"description": "ASAP annotations", "content": {"text/xml": BINARY}}}


@router.get("/info/", summary="MONAI Label: what is offered", responses=responses())
async def info() -> dict[str, Any]:
    """The models, as MONAI Label states them."""
    model = {
        "type": "detection",
        "dimension": 2,
        "description": f"Mitotic figures. {RESEARCH_USE}",
        "labels": [LABEL],
        "pathology": True,
        "nuclick": False,
    }
    return {
        "name": "Mitoserve",
        "description": f"Mitotic figures in H&E slides. {RESEARCH_USE}",
        "version": __version__,
        "labels": [LABEL],
        "models": dict.fromkeys(MODELS, model),
        "strategies": {},
        "trainers": {},
    }


@router.head("/datastore/image", summary="MONAI Label: is the slide here?", responses=responses("not-found", "busy"))
async def exists(
    workload: ServingWorkload, request: Request, image: Annotated[str, Query(max_length=1000)]
) -> Response:
    """200 if you have a slide whose file is called so, without its suffix."""
    await run_sync(_find_slide, workload, visible_owner(request), image)
    return Response()


@router.post(
    "/infer/wsi/{model}",
    summary="MONAI Label: score a slide that is here",
    response_class=Response,
    responses={**_XML, **responses("malformed-request", *RESULT_ERRORS, "busy")},
)
async def infer(
    workload: ServingWorkload, request: Request, model: str, image: Annotated[str, Query(max_length=1000)]
) -> Response:
    """Figures in the region that is asked for, both in level-0 px from where the slide's bounds begin."""
    _check_model(model)
    wanted = _parse_request(await request.body())
    slide = await run_sync(_find_slide, workload, visible_owner(request), image)
    roi = wanted.roi(*await run_sync(_frame, workload, slide))
    return await _score(
        workload, request, Submission(request_owner(request), slide.sha256, ScoringOptions(roi=roi)), model
    )


@router.post(
    "/infer/wsi_v2/{model}",
    summary="MONAI Label: score a crop",
    response_class=Response,
    responses={**_XML, **responses(*ARRIVAL_ERRORS, *RESULT_ERRORS)},
    openapi_extra={
        "requestBody": {
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": {"type": "string", "format": "binary"}, "wsi": {"type": "string"}},
                    }
                }
            }
        }
    },
)
async def infer_crop(workload: ServingWorkload, request: Request, model: str) -> Response:
    """Figures in the picture that is sent, in its own px."""
    mpp = _check_model(model)
    length = whole_number(request.headers.get("content-length", ""))
    if length is None or length > MAX_CROP_BYTES:
        raise SlideTooLargeError(f"a crop may have {MAX_CROP_BYTES} bytes; bring the slide itself for more")
    owner = request_owner(request)
    async with request.form(max_files=1, max_fields=4, max_part_size=2**20) as form:
        file, text = form.get("file"), form.get("wsi")
        if not isinstance(file, UploadFile) or not isinstance(text, str):
            raise RequestError("the form needs the picture as 'file' and JSON as 'wsi'")
        _parse_request(text.encode())
        stored = await run_sync(_store_crop, workload, file, owner)
    return await _score(workload, request, Submission(owner, stored.sha256, ScoringOptions(mpp=mpp)), model)


def asap_reply(report: Report, model: str) -> bytes:
    """The figures as the extension reads them: a polygon each in QuPath's px, its class in `Name`.

    The format has no place for scores; `Score` is an attribute more, which its readers pass over.
    """
    report = in_file_px(report)
    stated = {"Name": "", "Description": RESEARCH_USE, "Model": model}
    stated |= {"X": "0", "Y": "0", "W": str(report.slide.width), "H": str(report.slide.height)}
    left, top = report.slide.origin
    figures = (
        AsapAnnotation(
            LABEL, (d.x - left, d.y - top, d.width, d.height), _GROUP, "Polygon", {"Score": f"{d.probability:g}"}
        )
        for d in report.detections
    )
    return b"".join(asap_document(figures, (_GROUP,), stated))


async def _score(workload: Workload, request: Request, wanted: Submission, model: str) -> Response:
    """The answer once the analysis has ended; one whose client goes away is cancelled."""
    with workload.place():
        job, _ = await run_sync(lambda: workload.jobs.submit(wanted, models_key=workload.worker_registry.models_key()))
        job = await workload.wait_until_ended(job, request.receive)
        analysis = await run_sync(lambda: load_job_result(workload, job))
    return Response(asap_reply(analysis.report, model), media_type="text/xml")


def _check_model(name: str) -> float | None:
    if name not in MODELS:
        raise NoSuchModelError(f"no model {name[:80]!r}; this server offers {', '.join(map(repr, MODELS))}")
    return MODELS[name]


def _parse_request(content: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate(json.loads(content or b"{}"))
    except (ValueError, ValidationError, RecursionError) as error:
        raise RequestError("the body is no JSON with 'location' and 'size', two whole numbers each") from error


def _find_slide(workload: Workload, owner: str | None, image: str) -> StoredSlide:
    """The newest slide that is called so; the extension knows no more of it than its name without suffix."""
    after, found, image = 0, None, unicodedata.normalize("NFC", image)  # as names are stored
    while page := workload.store.page(owner=owner, after=after, limit=_PAGE):
        found = next((slide for slide in reversed(page) if PurePath(slide.name).stem == image), found)
        after = page[-1].number
    if found is None:
        raise NotFoundError("no slide of this name; bring it first, or select a region, which is then sent by itself")
    return found


def _frame(workload: Workload, slide: StoredSlide) -> tuple[tuple[int, int], tuple[float, float]]:
    """Where the slide's bounds begin, and its `stored_scale`; the store does not keep them, so the slide is opened."""
    with workload.open_slides.using(slide.sha256) as opened:
        return ((0, 0) if opened.bounds is None else opened.bounds[:2]), opened.stored_scale


def _store_crop(workload: Workload, file: UploadFile, owner: str) -> StoredSlide:
    """The crop, stored until its analysis has ended."""
    with TemporaryDirectory(prefix="crop-", dir=workload.spool) as name:
        path = Path(name) / "crop.part"
        with path.open("xb") as handle:
            while piece := file.file.read(2**20):
                handle.write(piece)
        limit = workload.settings.max_upload_bytes
        stated = safe_name(file.filename or "crop.png")
        return store_received_file(workload.store, path, owner=owner, name=stated, max_bytes=limit, kept=False)
