"""`/v1/slides/{id}/iiif`: a slide by the IIIF Image API 3.0, level 2 (https://iiif.io/api/image/3.0/)."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from serving.api.addresses import address
from serving.api.deepzoom import PICTURE_ERRORS
from serving.api.frames import FrameQuery, parse_frame
from serving.api.pictures import MAX_AGE_S, PictureRequest, Pictures
from serving.api.problems import responses
from serving.api.score import BINARY
from serving.store.slide_rows import StoredSlide
from serving.wsi.deepzoom import TILE_PX, DeepZoom
from serving.wsi.iiif import MAX_SIDE_PX, parse_iiif

_CONTEXT = "http://iiif.io/api/image/3/context.json"
_PHYSICAL = "http://iiif.io/api/annex/services/physdim"
"""The annex that states how large a px is (https://iiif.io/api/annex/services/#physical-dimensions)."""
_UM_PER_MM = 1000


def iiif_routes(pictures: Pictures) -> APIRouter:
    """The routes of the Image API."""
    router = APIRouter(tags=["viewers"])

    @router.get(
        "/v1/slides/{slide_id}/iiif",
        summary="IIIF base address",
        status_code=303,
        response_class=RedirectResponse,
        responses=responses("not-found", "busy"),
    )
    async def base(request: Request, slide_id: str) -> Response:
        """Leads to info.json."""
        slide = await pictures.slide(request, slide_id)
        return RedirectResponse(address(f"/v1/slides/{slide.sha256}/iiif/info.json"), 303)

    @router.get(
        "/v1/slides/{slide_id}/iiif/info.json",
        summary="IIIF image information",
        responses={
            200: {"description": "info.json", "content": {"application/ld+json": {"schema": {"type": "object"}}}},
            **responses("not-found"),
        },
    )
    async def info(request: Request, slide_id: str) -> dict[str, Any]:
        """Size, tiles and features, by the Image API 3.0."""
        slide = await pictures.slide(request, slide_id)
        headers = {"Cache-Control": f"private, max-age={MAX_AGE_S}"}
        content = _info(slide, str(request.url.replace(path=address(f"/v1/slides/{slide.sha256}/iiif"), query="")))
        return JSONResponse(  # type: ignore[return-value]  # FastAPI passes responses on
            content, headers=headers, media_type=f'application/ld+json;profile="{_CONTEXT}"'
        )

    @router.get(
        "/v1/slides/{slide_id}/iiif/{region}/{size}/{rotation}/{leaf}",
        summary="IIIF image",
        response_class=Response,
        responses={
            200: {"description": "JPEG or PNG", "content": {"image/jpeg": BINARY, "image/png": BINARY}},
            **responses("malformed-request", *PICTURE_ERRORS),
        },
    )
    async def image(
        request: Request,
        *,
        slide_id: str,
        region: str,
        size: str,
        rotation: str,
        leaf: str,
        frame: FrameQuery = None,
    ) -> Response:
        """A region at a size, turned; the last part is quality and format, such as default.jpg."""
        slide = await pictures.slide(request, slide_id)
        seen = parse_frame(slide, frame)
        wanted = parse_iiif((seen.width, seen.height), region, size, rotation, leaf)
        name = f"iiif/{seen.name}{region}/{size}/{rotation}/{leaf}"
        picture = PictureRequest(name, lambda opened: wanted.read(seen.wrap(opened)), wanted.format)
        return await pictures.answer(request, slide, picture)

    return router


def _info(slide: StoredSlide, address: str) -> dict[str, Any]:
    pyramid = DeepZoom(slide.width, slide.height)
    # Levels below one tile are one tile each: the last that a viewer needs is the first to fit.
    needed = [level for level in range(pyramid.levels) if max(pyramid.size(level)) > TILE_PX]
    shrinks = [pyramid.shrink(level) for level in reversed(needed)] or [1]
    stated: dict[str, Any] = {
        "@context": _CONTEXT,
        "id": address,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level2",
        "width": slide.width,
        "height": slide.height,
        "maxWidth": MAX_SIDE_PX,
        "maxHeight": MAX_SIDE_PX,
        "tiles": [{"width": TILE_PX, "height": TILE_PX, "scaleFactors": [*shrinks, shrinks[-1] * 2]}],
        "extraQualities": ["color", "gray"],
        "extraFeatures": ["mirroring", "sizeUpscaling"],
    }
    if slide.mpp is not None:
        stated["service"] = [
            {
                "@context": f"{_PHYSICAL}/1/context.json",
                "profile": _PHYSICAL,
                "physicalScale": slide.mpp / _UM_PER_MM,
                "physicalUnits": "mm",
            }
        ]
    return stated
