"""TIFF: scanners' own kinds and plain ones through OpenSlide, all others through tifffile."""

from pathlib import Path

from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import TIFF_HEADS


@SLIDE_READERS.register("tiff")
class TiffReader(SlideReader):
    """A TIFF, told by its content."""

    formats = ("SVS", "NDPI", "SCN", "BIF", "VSF", "Philips TIFF", "tiled TIFF", "OME-TIFF")
    suffixes = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".vsf")
    heads = TIFF_HEADS
    rank = 3

    def takes(self, path: Path, head: bytes) -> bool:
        """See `SlideReader.takes`; slides are called as scanners like."""
        return head.startswith(self.heads)

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.formats import check_tiff  # noqa: PLC0415 - processes that open no slide tell files apart, too
        from serving.slides.openslides import is_for_openslide, open_with_openslide  # noqa: PLC0415
        from serving.slides.tiffslide import open_tiff  # noqa: PLC0415

        content = check_tiff(path, name)
        strips = content.ome and not content.is_tiled
        if not strips and is_for_openslide(path, content):
            return open_with_openslide(path, name, content=content)
        return open_tiff(path, name)
