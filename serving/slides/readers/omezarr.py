"""OME-Zarr, a folder of chunks, through zarr-python."""

from collections.abc import Sequence
from pathlib import Path

from serving.slides.omezarr import MAINS, is_multiscale, list_chunks, read_ome_zarr
from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide


@SLIDE_READERS.register("ome-zarr")
class OmeZarrReader(SlideReader):
    """A folder, told by the JSON in it; all that lies below is the slide's."""

    formats = ("OME-Zarr",)
    whole = False
    owns_folder = True
    rank = 7

    def takes(self, path: Path, head: bytes) -> bool:
        """See `SlideReader.takes`; the JSON is read whole, since its first bytes are those of any."""
        return is_multiscale(path)

    def files(self, path: Path, called: str | None = None) -> Sequence[Path]:
        """See `SlideReader.files`."""
        return list_chunks(path.parent, called or path.parent.name)

    def folder(self, path: Path) -> Path | None:
        """See `SlideReader.folder`."""
        return path.parent

    def find_main(self, folder: Path) -> Path | None:
        """See `SlideReader.find_main`."""
        return next((main for name in MAINS if (main := folder / name).is_file() and is_multiscale(main)), None)

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.zarrslide import open_zarr  # noqa: PLC0415 - processes that open no slide tell files apart, too

        self.files(path, name)
        return open_zarr(path, read_ome_zarr(path, name), name)
