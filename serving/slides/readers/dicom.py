"""DICOM whole-slide images, a file for each level or part of one, through OpenSlide."""

from collections.abc import Sequence
from pathlib import Path

from serving.slides.dicomfiles import find_series, group_series, is_dicom
from serving.slides.readers.reader import SLIDE_READERS, SlideReader, read_head
from serving.slides.readers.tiff import TiffReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import TIFF_HEADS, list_files


@SLIDE_READERS.register("dicom")
class DicomReader(SlideReader):
    """The files of one series in one folder, told by their content. Listings look for them by content too."""

    formats = ("DICOM WSI",)
    grouped = True
    rank = 1

    def takes(self, path: Path, head: bytes) -> bool:
        """See `SlideReader.takes`; also one that begins as a TIFF."""
        return is_dicom(head)

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """See `SlideReader.files`."""
        beside = [other for other in list_files(path.parent) if _holds_dicom(other)]
        return find_series(path, {*beside, path}, called)

    def folder(self, path: Path) -> Path | None:
        """See `SlideReader.folder`."""
        return path.parent

    def group(self, paths: Sequence[Path]) -> list[list[Path]]:
        """See `SlideReader.group`."""
        return group_series(paths)

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`.

        A DICOM file may begin with the head of a TIFF (DICOM PS3.10, 7.1), which is out of date where other software wrote
        the file again. So it is DICOM, unless its name says TIFF: those OpenSlide opens as TIFF where they parse.
        """
        from serving.slides.formats import has_directory  # noqa: PLC0415 - processes that open no slide tell files apart, too
        from serving.slides.openslides import open_with_openslide  # noqa: PLC0415

        called_tiff = path.suffix.lower() in (".tif", ".tiff")
        if called_tiff and read_head(path, name).startswith(TIFF_HEADS) and has_directory(path):
            return TiffReader().open(path, name, memory)
        return open_with_openslide(path, name, dicom=True)


def _holds_dicom(path: Path) -> bool:
    return path.stat().st_size > 0 and is_dicom(read_head(path, path.name))
