"""The pyramid of a slide as Deep Zoom numbers it: halved from level to level, cut into square tiles without overlap."""

from dataclasses import dataclass
from xml.etree import ElementTree

from serving.wsi.geometry import Region

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
