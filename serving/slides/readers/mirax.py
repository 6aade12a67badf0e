"""MRXS, a picture with a folder of pixels beside it, through OpenSlide."""

from collections.abc import Sequence
from pathlib import Path

from serving.core.errors import UnsupportedFormatError
from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import PICTURE_HEADS, find_named

_INDEX = "Slidedat.ini"


@SLIDE_READERS.register("mirax")
class MiraxReader(SlideReader):
    """A picture that is told by its suffix, the index in the folder beside it, and what that names there."""

    suffixes = (".mrxs",)
    heads = PICTURE_HEADS
    whole = False
    folder_beside = True
    rank = 2

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """See `SlideReader.files`."""
        folder = path.with_suffix("")
        index = folder / _INDEX
        if not index.is_file():
            raise UnsupportedFormatError(
                f"{called or path.name} alone holds no pixels: they are in the folder of the same name beside it, with its "
                f"{_INDEX}; keep both together, or pack both into one zip"
            )
        return [path, index, *find_named(index, folder)]

    def find_main(self, folder: Path) -> Path | None:
        """See `SlideReader.find_main`."""
        main = folder.parent / f"{folder.name}.mrxs"
        return main if main.is_file() and (folder / _INDEX).is_file() else None

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.openslides import open_with_openslide  # noqa: PLC0415 - processes that open no slide tell files apart, too

        return open_with_openslide(path, name)
