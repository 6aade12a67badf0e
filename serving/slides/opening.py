"""The one door through which files become slides."""

from pathlib import Path

from serving.slides.formats import FileKind, check_tiff, detect_kind
from serving.slides.imageslide import open_image
from serving.slides.limits import check_size
from serving.slides.openslides import is_for_openslide, open_with_openslide
from serving.slides.slide import Slide
from serving.slides.slidefiles import slide_files
from serving.slides.squared import with_square_pixels
from serving.slides.tiffslide import open_tiff


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
