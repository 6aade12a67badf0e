"""A slide as the pipeline sees it, and the one door through which files become slides."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from serving.wsi.errors import SlideTooLargeError
from serving.wsi.geometry import Region

Pixels = NDArray[np.uint8]

MAX_SIDE_PX = 2**20
"""Twenty times the longest side a slide scanner makes; more is a forged header."""
MAX_PIXELS = 4 * 10**11
"""A full 75 x 25 mm glass at 0.1 um/px has 1.9e11 px."""


class Slide(Protocol):
    """Pixels in one frame: level 0, (x, y), half-open. Reads may come from several threads at once."""

    name: str
    """File name without folders."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    mpp: float | None
    """Microns per level-0 px as the file states it; never guessed from objective power."""
    vendor: str

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes; of names and bytes where a slide is several files."""

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """RGB of `region` (level-0 px) resampled to `width` x `height`; whatever is outside or transparent is white.

        -> uint8, shape (height, width, 3)

        Raises
        ------
        UnreadableSlideError
            If the file's data is broken there.
        """

    def thumbnail(self, max_side: int) -> Pixels:
        """The whole slide with its longer side at most `max_side` px, uint8, shape (h, w, 3)."""

    def close(self) -> None:
        """Release the file; reads afterwards fail."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_slide(path: Path, *, name: str | None = None) -> Slide:
    """The slide in `path`: a whole-slide image through OpenSlide, or a PNG or JPEG field through Pillow.

    name : what reports call it; by default the file's name

    Raises
    ------
    EmptyUploadError
        If the file has no bytes.
    UnsupportedFormatError
        If it is no slide format.
    UnreadableSlideError
        If it is one, but truncated or corrupt.
    SlideTooLargeError
        If its size is beyond any scanner's.
    """
    # Readers import this module for the protocol, so they are imported when the door is used.
    from serving.wsi.formats import FileKind, kind_of
    from serving.wsi.imageslide import open_image
    from serving.wsi.openslides import open_with_openslide

    label = name if name is not None else path.name
    kind = kind_of(path)
    slide: Slide = open_image(path, label) if kind is FileKind.IMAGE else open_with_openslide(path, label)
    check_size(slide.width, slide.height)
    return slide


def check_size(width: int, height: int) -> None:
    """Refuse sizes that no scanner makes, before anything of that size is allocated.

    Raises
    ------
    SlideTooLargeError
        If a side or the area is over its limit.
    """
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise SlideTooLargeError(
            f"the slide states {width} x {height} px; the limit is {MAX_SIDE_PX} px a side and {MAX_PIXELS:.0e} px in all"
        )
