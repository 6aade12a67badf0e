"""MetaImage (.mha): what ITK writes, and what Grand Challenge gives to algorithms."""

from pathlib import Path

from serving.slides.readers.reader import SLIDE_READERS, SlideReader
from serving.slides.slide import Slide


@SLIDE_READERS.register("metaimage")
class MetaImageReader(SlideReader):
    """A field of view in one file: a header of text, and pixels."""

    formats = ("MetaImage",)
    suffixes = (".mha",)
    heads = (b"ObjectType", b"NDims")
    rank = 5

    def open(self, path: Path, name: str, memory: int | None = None) -> Slide:
        """See `SlideReader.open`."""
        from serving.slides.metaimage import open_metaimage  # noqa: PLC0415 - processes that open no slide tell files apart, too

        return open_metaimage(path, name, memory=memory)
