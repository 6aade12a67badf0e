"""A slide as the pipeline sees it, and the one door through which files become slides."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from serving.wsi.formats import FileKind, check_tiff, detect_kind
from serving.wsi.geometry import Region
from serving.wsi.imageslide import open_image
from serving.wsi.limits import check_size
from serving.wsi.openslides import is_for_openslide, open_with_openslide
from serving.wsi.pixelsize import PixelSize
from serving.wsi.slidefiles import slide_files
from serving.wsi.squared import with_square_pixels
from serving.wsi.tiffslide import open_tiff

Pixels = NDArray[np.uint8]


class Slide(Protocol):
    """Pixels in one frame: level 0, (x, y), half-open. Reads may come from several threads at once."""

    name: str
    """File name without folders."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    pixel_size: PixelSize | None
    """Microns per level-0 px along each axis as the file states them; never guessed from objective power."""
    vendor: str
    stored_scale: tuple[float, float]
    """Px of the file per level-0 px along x and y; (1, 1) but where pixels of the file are not square and were resampled."""
    bounds: tuple[int, int, int, int] | None
    """x, y, width, height of what was scanned, level-0 px, where the file states it; some viewers begin there."""

    @property
    def mpp(self) -> float | None:
        """Side of the square with a px's area, um: `pixel_size` in one number."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know of how the file was read; sentences."""

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


def open_slide(path: Path, *, name: str | None = None, memory: int | None = None) -> Slide:
    """The slide in `path`, a file or the folder of one slide: through OpenSlide or tifffile, or a PNG or JPEG field through Pillow.

    name : what reports call it; by default the file's name
    memory : bytes that this process may use; None: as many as there are

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
    PictureMemoryError
        If it is a picture that needs more than `memory`.
    """
    label = name if name is not None else path.name
    if path.is_dir():
        path = slide_files(path, label).main_path
    kind = detect_kind(path, label)
    slide: Slide
    if kind is FileKind.IMAGE:
        slide = open_image(path, label, memory=memory)
    elif kind is FileKind.TIFF and not is_for_openslide(path, content := check_tiff(path, label)):
        slide = open_tiff(path, label)
    else:
        slide = open_with_openslide(path, label, content=content if kind is FileKind.TIFF else None)
    slide = with_square_pixels(slide, slide.pixel_size)
    check_size(slide.width, slide.height)
    return slide
