"""The one door through which files become slides."""

from pathlib import Path

from serving.slides import czislide, imageslide, metaimage, openslides, tiffslide, zarrslide  # noqa: F401 - a decoder imports nothing any more
from serving.slides.formats import not_a_slide
from serving.slides.limits import check_size
from serving.slides.readers.reader import SLIDE_READERS, read_head
from serving.slides.slide import Slide
from serving.slides.slidefiles import slide_files
from serving.slides.squared import with_square_pixels


def open_slide(path: Path, *, name: str | None = None, memory: int | None = None) -> Slide:
    """The slide in `path`, a file or the folder of one slide: by the first reader that takes it.

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
    reader = SLIDE_READERS.find(path, read_head(path, label))
    if reader is None:
        raise not_a_slide(path, label)
    slide = reader.open(path, label, memory)
    slide = with_square_pixels(slide, slide.pixel_size)
    check_size(slide.width, slide.height)
    return slide
