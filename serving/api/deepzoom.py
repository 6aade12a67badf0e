"""`/v1/slides/{id}/deepzoom.dzi`: a slide as Deep Zoom tiles, which OpenSeadragon and many viewers read."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.frames import FrameQuery, parse_frame
from serving.api.pictures import MAX_AGE_S, PictureRequest, Pictures
from serving.api.problems import NoSuchTileError, responses
from serving.api.score import BINARY
from serving.wsi.deepzoom import DeepZoom

PICTURE_ERRORS = ("not-found", "slide-changed", "unreadable-slide", "decoder-died", "busy")
"""How a request for a part of a slide may end."""


def deepzoom_routes(pictures: Pictures) -> APIRouter:
    """The routes of tiles."""
    router = APIRouter(tags=["viewers"])

    @router.get(
        "/v1/slides/{slide_id}/deepzoom.dzi",
        summary="Deep Zoom descriptor",
        response_class=Response,
        responses={
            200: {"description": "The .dzi file", "content": {"application/xml": BINARY}},
            **responses("not-found", "busy"),
        },
    )
    async def descriptor(request: Request, slide_id: str) -> Response:
        """Size of the slide and of its tiles, as XML."""
        slide = await pictures.slide(request, slide_id)
        content = DeepZoom(slide.width, slide.height).descriptor()
        headers = {"Cache-Control": f"private, max-age={MAX_AGE_S}, immutable"}
        return Response(content, media_type="application/xml", headers=headers)

    @router.get(
        "/v1/slides/{slide_id}/deepzoom_files/{level}/{column}_{row}.jpeg",
        summary="Deep Zoom tile",
        response_class=Response,
        responses={
            200: {"description": "JPEG", "content": {"image/jpeg": BINARY}},
            **responses("malformed-request", *PICTURE_ERRORS),
        },
    )
    async def tile(
        request: Request, *, slide_id: str, level: int, column: int, row: int, frame: FrameQuery = None
    ) -> Response:
        """One tile. Level 0 is one px; each further level is twice as large, up to the slide itself."""
        slide = await pictures.slide(request, slide_id)
        seen = parse_frame(slide, frame)
        place = DeepZoom(seen.width, seen.height).tile(level, column, row)
        if place is None:
            raise NoSuchTileError("the slide has no such tile; deepzoom.dzi states its size")
        picture = PictureRequest(
            f"deepzoom/{seen.name}{level}/{column}_{row}",
            lambda opened: seen.wrap(opened).read(place.region, place.width, place.height),
        )
        return await pictures.answer(request, slide, picture)

    return router
