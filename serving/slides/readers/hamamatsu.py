"""Hamamatsu VMS and VMU, a text file with pictures beside it, through OpenSlide."""

from collections.abc import Sequence
from pathlib import Path

from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import HAMAMATSU, find_named


@SLIDE_READERS.register("hamamatsu")
class HamamatsuReader(SlideReader):
    """A text file, told by its suffix, and the files beside it that it names."""

    suffixes = HAMAMATSU
    whole = False
    rank = 5

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """See `SlideReader.files`."""
        return [path, *find_named(path, path.parent)]

    def folder(self, path: Path) -> Path | None:
        """See `SlideReader.folder`."""
        return path.parent

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.openslides import open_with_openslide  # noqa: PLC0415 - processes that open no slide tell files apart, too

        return open_with_openslide(path, name)
