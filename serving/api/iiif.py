"""`/v1/slides/{id}/iiif`: a slide by the IIIF Image API 3.0, level 2 (https://iiif.io/api/image/3.0/)."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import JSONResponse, RedirectResponse, Response

from serving.api.answers import BINARY
from serving.api.deepzoom import PICTURE_ERRORS, TILE_PX, DeepZoom
from serving.api.frames import FrameQuery, RegionSource, parse_frame
from serving.api.pictures import MAX_AGE_S, PictureRequest
from serving.api.problems import responses
from serving.api.routes import address
from serving.api.services import ServingPictures
from serving.core.errors import RequestError
from serving.core.geometry import Region
from serving.slides.resample import Pixels
from serving.store.slide_rows import StoredSlide

_CONTEXT = "http://iiif.io/api/image/3/context.json"
_PHYSICAL = "http://iiif.io/api/annex/services/physdim"
"""The annex that states how large a px is (https://iiif.io/api/annex/services/#physical-dimensions)."""
_UM_PER_MM = 1000
MAX_SIDE_PX = 4096
"""Of an answer: 50 MB of pixels, which a decoder passes on in one piece."""
QUALITIES = ("default", "color", "gray")
FORMATS = {"jpg": "JPEG", "png": "PNG"}

_NUMBER = r"[0-9]{1,10}(?:\.[0-9]{1,12})?"
_LUMINANCE = np.asarray((0.299, 0.587, 0.114), np.float32)
"""ITU-R BT.601."""


@dataclass(frozen=True, slots=True)
class IiifRequest:
    """A part of the slide, the size that it is wanted at, and what is done to it then."""

    region: Region
    width: int
    height: int
    turns: int
    """Quarter turns clockwise."""
    mirrored: bool
    """Left to right, before it is turned."""
    gray: bool
    format: str

    def read(self, slide: RegionSource) -> NDArray[np.uint8]:
        """The pixels, uint8, shape (height, width, 3), without the last axis where gray; the sides change places if turned."""
        pixels: Pixels = slide.read(self.region, self.width, self.height)
        if self.mirrored:
            pixels = pixels[:, ::-1]
        pixels = np.rot90(pixels, -self.turns)
        return (pixels @ _LUMINANCE).round().astype(np.uint8) if self.gray else np.ascontiguousarray(pixels)


def parse_iiif(size: tuple[int, int], region: str, scaled: str, rotation: str, leaf: str) -> IiifRequest:
    """What `{region}/{size}/{rotation}/{quality}.{format}` asks for.

    size : (width, height) of the slide; scaled : the size parameter; leaf : quality and format

    Raises
    ------
    RequestError
        If a parameter is malformed, not supported, or asks for nothing or too much.
    """
    cut = _region(size, region)
    width, height = _size(cut, scaled)
    mirrored, turns = rotation.startswith("!"), {"0": 0, "90": 1, "180": 2, "270": 3}.get(rotation.lstrip("!"))
    if turns is None or rotation.count("!") > 1:
        raise RequestError("rotation: give 0, 90, 180 or 270, or the same behind '!'")
    quality, _, suffix = leaf.partition(".")
    if quality not in QUALITIES or suffix not in FORMATS:
        raise RequestError(f"give a quality of {', '.join(QUALITIES)} and a format of {', '.join(FORMATS)}")
    return IiifRequest(cut, width, height, turns, mirrored, quality == "gray", FORMATS[suffix])


def _region(size: tuple[int, int], text: str) -> Region:
    whole = Region(0, 0, *size)
    if text == "full":
        return whole
    if text == "square":
        side = min(size)
        return Region((size[0] - side) // 2, (size[1] - side) // 2, side, side)
    found = re.fullmatch(rf"(pct:)?({_NUMBER}),({_NUMBER}),({_NUMBER}),({_NUMBER})", text)
    if found is None:
        raise RequestError("region: give full, square, x,y,w,h or pct:x,y,w,h")
    numbers = [float(number) for number in found.groups()[1:]]
    if found[1]:
        numbers = [n / 100 * size[i % 2] for i, n in enumerate(numbers)]
    elif not all(n.is_integer() for n in numbers):
        raise RequestError("region: px are whole numbers")
    cut = Region(*(round(n) for n in numbers)).intersection(whole)
    if not cut.area:
        raise RequestError("region: it shows nothing of the slide")
    return cut


def _size(cut: Region, text: str) -> tuple[int, int]:
    """Px of the answer; beyond the region's own only where the address says so by '^'."""
    enlarged, wanted = text.startswith("^"), text.removeprefix("^")
    width, height = _requested_size(cut, wanted, enlarged=enlarged)
    width, height = max(width, 1), max(height, 1)
    if not enlarged and (width > cut.width or height > cut.height):
        raise RequestError("size: larger than the region; put '^' before it to enlarge")
    if max(width, height) > MAX_SIDE_PX:
        raise RequestError(f"size: more than {MAX_SIDE_PX} px a side; ask for less, or for 'max'")
    return width, height


def _requested_size(cut: Region, text: str, *, enlarged: bool) -> tuple[int, int]:
    fitting = MAX_SIDE_PX / max(cut.width, cut.height)
    if text == "max":
        scale = fitting if enlarged else min(fitting, 1.0)
        return math.floor(cut.width * scale), math.floor(cut.height * scale)
    if found := re.fullmatch(rf"pct:({_NUMBER})", text):
        scale = float(found[1]) / 100
        if scale == 0:
            raise RequestError("size: nothing is left at 0 %")
        return round(cut.width * scale), round(cut.height * scale)
    found = re.fullmatch(r"(!)?([0-9]{1,7})?,([0-9]{1,7})?", text)
    if found is None or not (found[2] or found[3]) or (found[1] and not (found[2] and found[3])):
        raise RequestError("size: give max, w, or ,h or w,h or !w,h or pct:n, with '^' before it to enlarge")
    width, height = int(found[2] or 0), int(found[3] or 0)
    if 0 in (width if found[2] else 1, height if found[3] else 1):
        raise RequestError("size: nothing is left at 0 px")
    if found[1]:
        scale = min(width / cut.width, height / cut.height)
        if not enlarged:
            scale = min(scale, 1.0)
        return round(cut.width * scale), round(cut.height * scale)
    return width or round(cut.width * height / cut.height), height or round(cut.height * width / cut.width)


router = APIRouter(tags=["viewers"])


@router.get(
    "/v1/slides/{slide_id}/iiif",
    summary="IIIF base address",
    status_code=303,
    response_class=RedirectResponse,
    responses=responses("not-found", "busy"),
)
async def base(pictures: ServingPictures, request: Request, slide_id: str) -> Response:
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
async def info(pictures: ServingPictures, request: Request, slide_id: str) -> dict[str, Any]:
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
    pictures: ServingPictures,
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
