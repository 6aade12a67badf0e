"""`/v1/slides/{id}/deepzoom.dzi`: a slide as Deep Zoom tiles, which OpenSeadragon and many viewers read.

The pyramid is halved from level to level, and cut into square tiles without overlap.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.answers import BINARY
from serving.api.frames import FrameQuery, parse_frame
from serving.api.pictures import MAX_AGE_S, PictureRequest
from serving.api.problems import NoSuchTileError, responses
from serving.api.services import ServingPictures
from serving.core.geometry import Region

PICTURE_ERRORS = ("not-found", "slide-changed", "unreadable-slide", "decoder-died", "busy")
"""How a request for a part of a slide may end."""
TILE_PX = 512
"""Side of a tile: a screen of 1280 x 800 shows about a dozen, and slides store theirs at 256 or 512."""
NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"


@dataclass(frozen=True, slots=True)
class TilePlace:
    """What a tile shows, level-0 px, and the px that it has itself."""

    region: Region
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class DeepZoom:
    """Levels and tiles of a picture of `width` x `height` px."""

    width: int
    height: int

    @property
    def levels(self) -> int:
        """Number of levels; level 0 is one px, the last one is the picture itself."""
        return (max(self.width, self.height) - 1).bit_length() + 1

    def shrink(self, level: int) -> int:
        """Level-0 px of the slide per px of `level`."""
        return int(2 ** (self.levels - 1 - level))

    def size(self, level: int) -> tuple[int, int]:
        """(width, height) of `level`, its own px."""
        shrink = self.shrink(level)
        return -(-self.width // shrink), -(-self.height // shrink)

    def tile(self, level: int, column: int, row: int) -> TilePlace | None:
        """The place of a tile; None where the pyramid has none."""
        if not 0 <= level < self.levels or column < 0 or row < 0:
            return None
        across, down = self.size(level)
        width, height = min(TILE_PX, across - column * TILE_PX), min(TILE_PX, down - row * TILE_PX)
        if width <= 0 or height <= 0:
            return None
        shrink = self.shrink(level)
        x, y = column * TILE_PX * shrink, row * TILE_PX * shrink
        # The last px of a level may stand for less than `shrink` px of the slide.
        region = Region(x, y, min(width * shrink, self.width - x), min(height * shrink, self.height - y))
        return TilePlace(region, width, height)

    def descriptor(self) -> bytes:
        """The .dzi file."""
        image = ElementTree.Element(
            "Image", {"xmlns": NAMESPACE, "TileSize": str(TILE_PX), "Overlap": "0", "Format": "jpeg"}
        )
        ElementTree.SubElement(image, "Size", {"Width": str(self.width), "Height": str(self.height)})
        return bytes(ElementTree.tostring(image, encoding="utf-8", xml_declaration=True))


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
async def descriptor(pictures: ServingPictures, request: Request, slide_id: str) -> Response:
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
    pictures: ServingPictures,
    request: Request,
    *,
    slide_id: str,
    level: int,
    column: int,
    row: int,
    frame: FrameQuery = None,
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
