"""TIFFs of strips, which microscope cameras and contests write: decoded strip by strip, not whole."""

from pathlib import Path

import numpy as np
import tifffile

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.slides.pyramid import PyramidSlide
from serving.slides.resample import Pixels
from serving.slides.samples import read_segment
from serving.slides.tilecache import CACHE_BYTES, DecodedTileCache

_RGB = 3


class FlatTiff(PyramidSlide):
    """A TIFF whose only level is stored in strips. See `serving.slides.slide.Slide`."""

    vendor = "flat"
    notes: tuple[str, ...] = ()

    def __init__(
        self, tiff: tifffile.TiffFile, page: tifffile.TiffPage, path: Path, name: str, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._tiff, self._page, self._path, self.name = tiff, page, path, name
        self.width, self.height = int(page.imagewidth), int(page.imagelength)
        self.level_sizes, self.levels = [(self.width, self.height)], [0]
        self._file = path.open("rb", buffering=0)
        self.pixel_size = self.bounds = None
        self._kept = DecodedTileCache(cache_bytes)

    @property
    def kept_bytes(self) -> int:
        """Of decoded strips, in memory."""
        return self._kept.bytes

    def close(self) -> None:
        """See `Slide.close`."""
        self._file.close()
        self._tiff.close()

    def _decode(self, level: int, cut: Region) -> Pixels:
        pixels = np.full((cut.height, cut.width, _RGB), 255, np.uint8)
        inside = cut.intersection(Region(0, 0, self.width, self.height))
        if not inside.area:
            return pixels
        rows = int(self._page.rowsperstrip)
        for number in range(inside.y // rows, -(-inside.bottom // rows)):
            strip, top = self._strip(number), number * rows
            first, past = max(inside.y, top), min(inside.bottom, top + strip.shape[0])
            pixels[first - cut.y : past - cut.y, inside.x - cut.x : inside.right - cut.x] = strip[
                first - top : past - top, inside.x : inside.right
            ]
        return pixels

    def _strip(self, number: int) -> Pixels:
        """A strip, uint8, (rows, width, 3)."""
        if (kept := self._kept.get(number)) is not None:
            return kept
        decoded = read_segment(self._file, self._page, number, self._page.jpegtables, name=self.name, kind="strip")
        if decoded is None or decoded.shape[-1] != _RGB:
            raise UnreadableSlideError(f"{self.name} has a damaged strip (number {number}); copy it again")
        return self._kept.keep(number, np.ascontiguousarray(decoded, np.uint8))


def open_flat_tiff(path: Path, name: str, cache_bytes: int = CACHE_BYTES) -> FlatTiff | None:
    """A TIFF in strips of 8-bit RGB; None of any other file.

    cache_bytes : of decoded strips that are kept, those used last

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        tiff = tifffile.TiffFile(path)
        page = tifffile.TiffPage.aspage(tiff.pages.first)
    except (tifffile.TiffFileError, ValueError, IndexError):
        return None
    plain = (
        not page.is_tiled
        and len(page.dataoffsets) > 1
        and page.samplesperpixel == _RGB
        and page.bitspersample == 8
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        and page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    )
    if not plain:
        tiff.close()
        return None
    return FlatTiff(tiff, page, path, name, cache_bytes)
