"""`POST /v1/score`: a slide goes in, its report or its mitosis map comes out."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serving.api.bodies import FIELD
from serving.api.negotiation import choose
from serving.api.options import ScoreQuery, to_options
from serving.api.problems import responses
from serving.api.uploads import Upload, receive_upload
from serving.api.workload import Progress, Workload
from serving.exports import EXPORTS
from serving.observability import metrics
from serving.report import Report
from serving.scoring.analysis import Options
from serving.scoring.detector import Detector
from serving.scoring.pipeline import score_slide
from serving.wsi.slide import open_slide

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: {"type": "string", "format": "binary", "description": "The slide, with its file name."}},
    }
}
_ERRORS = (
    "malformed-request",
    "empty-upload",
    "not-acceptable",
    "upload-stalled",
    "slide-too-large",
    "unsupported-format",
    "unreadable-slide",
    "missing-mpp",
    "mpp-out-of-range",
    "roi-outside-slide",
    "internal-error",
    "model-unavailable",
    "busy",
    "disk-full",
)


def score_routes(workload: Workload) -> APIRouter:
    """The route that scores an uploaded slide."""
    router = APIRouter()

    @router.post(
        "/v1/score",
        summary="Score a slide",
        tags=["scoring"],
        response_class=Response,
        responses={200: _answers(), **responses(*_ERRORS)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": f"A form with one file in the field `{FIELD}`, or the slide itself with ?filename=NAME.",
                "content": {"multipart/form-data": _FORM, "application/octet-stream": _BINARY},
            }
        },
    )
    async def score(request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
        """Streams the slide to disk, waits for its turn, scores it and deletes it.

        `Accept` chooses the report (JSON), the mitotic figures (GeoJSON, CSV) or the mitosis map (PNG, TIFF).
        """
        options = to_options(query, request)
        export = choose(request.headers.get("accept", "*/*"), {name: e.media_type for name, e in EXPORTS.items()})
        detector = workload.detector
        with workload.place() as spool:
            async with receive_upload(request, spool, filename=query.filename, settings=workload.settings) as upload:
                content = await workload.run(
                    lambda progress: _score(upload, detector, options, export=export, progress=progress),
                    request.receive,
                )
        return Response(content, media_type=EXPORTS[export].media_type)

    return router


def _score(upload: Upload, detector: Detector, options: Options, *, export: str, progress: Progress) -> bytes:
    """The answer's bytes; runs in a thread."""
    progress(0, 0)
    with open_slide(upload.path, name=upload.name) as slide:
        analysis = score_slide(slide, detector, options, on_progress=progress)
    metrics.count_analysis(analysis.report, export=export)
    return EXPORTS[export].render(analysis)


def _answers() -> dict[str, Any]:
    """The OpenAPI response of an analysis in every format on offer."""
    content: dict[str, Any] = {}
    for export in EXPORTS.values():
        content[export.media_type] = (
            {} if export.media_type == "application/json" else {"schema": {"type": "string", "format": "binary"}}
        )
    return {"model": Report, "description": "The analysis, in the format that Accept prefers", "content": content}
