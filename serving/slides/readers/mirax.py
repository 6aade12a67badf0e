"""MRXS, a picture with a folder of pixels beside it, through OpenSlide."""

from collections.abc import Sequence
from pathlib import Path

from serving.core.errors import UnsupportedFormatError
from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.readers.tiff import TiffReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import find_named

_INDEX = "Slidedat.ini"


@SLIDE_READERS.register("mirax")
class MiraxReader(SlideReader):
    """A file that is told by its suffix, the index in the folder beside it, and what that names there."""

    suffixes = (".mrxs",)
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
        """See `SlideReader.open`; a TIFF that is called so is one."""
        from serving.slides.formats import FileKind, detect_kind  # noqa: PLC0415 - processes that open no slide tell files apart, too
        from serving.slides.openslides import open_with_openslide  # noqa: PLC0415

        if detect_kind(path, name) is FileKind.TIFF:
            return TiffReader().open(path, name, memory)
        return open_with_openslide(path, name)
