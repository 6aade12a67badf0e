"""Slides whose levels are Zarr arrays, through zarr-python (the extra `zarr`)."""

from pathlib import Path
from typing import Any

import numpy as np

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize
from serving.slides.omezarr import OmeZarr
from serving.slides.pyramid import PyramidSlide, describe_skipped, find_trusted_levels
from serving.slides.resample import Pixels

try:  # a decoder process imports nothing any more
    import zarr
except ImportError:
    zarr = None


def open_zarr(main: Path, content: OmeZarr, name: str) -> "ZarrSlide":
    """The slide in an OME-Zarr.

    Parameters
    ----------
    main
        The JSON of its group.
    content
        What it states, which was checked.
    name
        What errors call the slide.

    Raises
    ------
    UnsupportedFormatError
        If the extra is missing.
    UnreadableSlideError
        If it is damaged.
    """
    if zarr is None:
        raise UnsupportedFormatError(
            f"{name} is an OME-Zarr, and the package that reads them is not installed here; pip install 'mitoserve[zarr]'"
        )
    try:
        arrays = [zarr.open_array(folder, mode="r") for folder in content.levels]
    except Exception as error:  # zarr and its codecs raise of all kinds
        raise UnreadableSlideError(f"{name} is a damaged OME-Zarr; write it again from the original slide") from error
    slide = ZarrSlide(arrays, main, name, content)
    slide.read(Region(0, 0, min(slide.width, 64), min(slide.height, 64)), 16, 16)
    return slide


class ZarrSlide(PyramidSlide):
    """A slide in red, green and blue of 8 bits. Chunks that are absent have the array's fill value."""

    def __init__(self, arrays: list[Any], path: Path, name: str, content: OmeZarr) -> None:
        self._arrays, self._path, self.name, self.vendor = arrays, path, name, "ome-zarr"
        self._axes = content.axes
        across, down = content.axes.index("x"), content.axes.index("y")
        self.level_sizes = [(int(array.shape[across]), int(array.shape[down])) for array in arrays]
        self.width, self.height = self.level_sizes[0]
        self.levels = find_trusted_levels(self.level_sizes)
        self.pixel_size: PixelSize | None = content.size
        self.bounds: tuple[int, int, int, int] | None = None

    def __repr__(self) -> str:
        return f"ZarrSlide({self.name!r}, {self.width} x {self.height}, {self.pixel_size})"

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Slide.notes`."""
        return describe_skipped(self.level_sizes, self.levels)

    def close(self) -> None:
        """See `Slide.close`; files are open while they are read alone."""

    def _decode(self, level: int, cut: Region) -> Pixels:
        pixels = np.full((cut.height, cut.width, 3), 255, np.uint8)
        width, height = self.level_sizes[level]
        inside = cut.intersection(Region(0, 0, width, height))
        if not inside.area:
            return pixels
        parts = {"x": slice(inside.x, inside.right), "y": slice(inside.y, inside.bottom), "c": slice(0, 3)}
        try:
            found = np.asarray(self._arrays[level][tuple(parts.get(axis, 0) for axis in self._axes)])
        except MemoryError:
            raise
        except Exception as error:  # zarr and its codecs raise of all kinds
            raise self._damage_error(level, cut) from error
        kept = [axis for axis in self._axes if axis in parts]
        shown = found.transpose([kept.index(axis) for axis in "yxc"])
        if shown.shape != (inside.height, inside.width, 3) or shown.dtype != np.uint8:
            raise self._damage_error(level, cut)
        pixels[inside.y - cut.y : inside.bottom - cut.y, inside.x - cut.x : inside.right - cut.x] = shown
        return pixels

    def _damage_error(self, level: int, cut: Region) -> UnreadableSlideError:
        return UnreadableSlideError(
            f"{self.name} is damaged at level {level}, x {cut.x}, y {cut.y}; write it again from the original slide"
        )
