"""CZI, Zeiss's container."""

from pathlib import Path

from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide


@SLIDE_READERS.register("czi")
class CziReader(SlideReader):
    """One file, told by its content."""

    formats = ("CZI",)
    suffixes = (".czi",)
    heads = (b"ZISRAWFILE\0",)
    rank = 6

    def takes(self, path: Path, head: bytes) -> bool:
        """See `SlideReader.takes`; it may have any name."""
        return head.startswith(self.heads)

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.czislide import open_czi  # noqa: PLC0415 - processes that open no slide tell files apart, too

        return open_czi(path, name)
