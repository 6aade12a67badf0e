"""PNG and JPEG fields, through Pillow."""

from pathlib import Path

from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide
from serving.slides.slidefiles import PICTURE_HEADS


@SLIDE_READERS.register("picture")
class PictureReader(SlideReader):
    """A field of view in one picture, told by its content."""

    formats = ("PNG", "JPEG")
    suffixes = (".png", ".jpg", ".jpeg")
    heads = PICTURE_HEADS
    picture = True
    rank = 4

    def takes(self, path: Path, head: bytes) -> bool:
        """See `SlideReader.takes`; pictures are called as they like."""
        return head.startswith(self.heads)

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.imageslide import open_image  # noqa: PLC0415 - processes that open no slide tell files apart, too

        return open_image(path, name, memory=memory)
