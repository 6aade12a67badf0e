"""What many routes state and give alike: bodies, errors, and an analysis in the format that `Accept` prefers."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving.api.bodies import FIELD
from serving.api.headers import join_field_lines
from serving.api.problems import NotAcceptableError
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.observability import metrics
from serving.scoring.analysis import Analysis

BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: {"type": "string", "format": "binary", "description": "The slide, with its file name."}},
    }
}
ARRIVAL_ERRORS = (
    "malformed-request",
    "empty-upload",
    "upload-stalled",
    "slide-too-large",
    "unsupported-format",
    "bad-archive",
    "unreadable-slide",
    "decoder-died",
    "internal-error",
    "busy",
    "quota-exceeded",
    "disk-full",
)
"""How the arrival of a slide may end."""
RESULT_ERRORS = (
    "not-found",
    "not-acceptable",
    "not-exportable",
    "missing-mpp",
    "mpp-out-of-range",
    "roi-outside-slide",
    "model-unavailable",
)
"""Why an analysis has no result, or none in that format."""


async def export_response(
    export: str, analysis: Analysis, *, slide: Path | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The analysis in a format, as it is made; what cannot be made is refused before the answer begins."""
    chunks = iter(EXPORTS[export].chunks(analysis, slide))
    first = await run_sync(next, chunks, b"")
    metrics.count_answer(export)
    answer = StreamingResponse(chain([first], chunks), media_type=EXPORTS[export].media_type, headers=headers)
    answer.headers["Vary"] = "Accept"
    return answer


def choose_export(request: Request) -> str:
    """The key of the export that `Accept` prefers; raises `NotAcceptableError` if it accepts none."""
    return choose(join_field_lines(request, "accept") or "*/*", {name: e.media_type for name, e in EXPORTS.items()})


def format_responses() -> dict[str, Any]:
    """The OpenAPI response of an analysis in every format on offer."""
    content: dict[str, Any] = {}
    for export in EXPORTS.values():
        content[export.media_type] = (
            {} if export.media_type == "application/json" else {"schema": {"type": "string", "format": "binary"}}
        )
    return {"model": Report, "description": "The analysis, in the format that Accept prefers", "content": content}


def link_page(request: Request, **place: int) -> str:
    """Address of another page of what a request lists, below the server's own: `place` says where that page begins."""
    return str(request.url.include_query_params(**place).replace(scheme="", netloc=""))


def choose(accept: str, offers: Mapping[str, str]) -> str:
    """The key of `offers` that the header prefers; among equals the first.

    offers : media type by key, in the server's order of preference

    Raises
    ------
    NotAcceptableError
        If the header accepts none of them.
    """
    ranges = [_parse_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    qualities = {key: _quality(media_type, ranges) for key, media_type in offers.items()}
    best = max(qualities, key=lambda key: qualities[key])
    if qualities[best] <= 0:
        raise NotAcceptableError(f"Accept {accept[:80]!r} matches no format; on offer are {', '.join(offers.values())}")
    return best


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The quality that the most specific matching range gives; 0 where none matches."""
    by_range = dict(reversed(ranges))
    for wanted in (media_type, f"{media_type.split('/', maxsplit=1)[0]}/*", "*/*"):
        if wanted in by_range:
            return by_range[wanted]
    return 0.0


def _parse_range(part: str) -> tuple[str, float]:
    """A media range without its parameters, and its quality; a quality that does not parse counts as 1."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_range, min(max(0.0, float(quality)), 1.0)
    except ValueError:
        return media_range, 1.0
