"""What a TIFF holds and whether its data lies inside the file; and what to say of a file that is no slide."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.pixelsize import PixelSize
from serving.slides.directlevels import DirectLevel, read_direct_level
from serving.slides.directories import check_directories, open_pages
from serving.slides.jpeg2000codec import find_jpeg2000_codec
from serving.slides.jpegcodec import colours_contradict, find_jpeg_codec
from serving.slides.limits import check_stored_tile
from serving.slides.ome import is_ome
from serving.slides.readers.reader import SLIDE_READERS, read_head
from serving.slides.samples import SampleLayout, read_layout
from serving.slides.tiffslide import read_resolution

_OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"MSCF": "a cabinet archive",
    b"PK\x07\x08": "a part of a zip in several parts",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\x04\x22\x4d\x18": "compressed with LZ4",
    b"\x1f\x9d": "compressed with compress",
}
"""What people send in place of a zip or tar, by how it begins."""
LIBTIFF_COMPRESSIONS = ("NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "JPEG")
"""What OpenSlide's libtiff decodes wherever it was built."""


def not_a_slide(path: Path, name: str) -> UnsupportedFormatError:
    """What to raise of a file that no reader takes.

    Parameters
    ----------
    path
        The file.
    name
        What errors call it.
    """
    head = read_head(path, name)
    for magic, called in _OTHER_ARCHIVES.items():
        if head.startswith(magic):
            return UnsupportedFormatError(
                f"{name} is {called}, which is not read; send the slide as it is, or its files as a zip or tar"
            )
    return UnsupportedFormatError(f"{name} is not a slide: {SLIDE_READERS.describe_formats()}")


def has_directory(path: Path) -> bool:
    """Whether the first directory of a TIFF is where its head says."""
    try:
        with open_pages(path) as tiff:
            return tiff.pages.first is not None
    except Exception:  # whatever tifffile meets
        return False


@dataclass(frozen=True, slots=True)
class TiffPageFacts:
    """What a TIFF's directory says of one picture; `size` is that of its own pixels, by the resolution tags."""

    width: int
    height: int
    tiled: bool
    layout: SampleLayout
    size: PixelSize | None
    colours_contradict: bool
    """Whether the tiles are of other colours than the directory says."""


@dataclass(frozen=True, slots=True)
class TiffContent:
    """What a TIFF whose structure was checked holds: the pages of the main chain, and which of them are levels that can be decoded directly."""

    pages: list[TiffPageFacts]
    direct_levels: list[DirectLevel]
    ome: bool

    @property
    def is_plain(self) -> bool:
        """Whether OpenSlide shows its tiled pages as they are.

        They are 8-bit RGB, in a compression that libtiff knows, and the largest comes first, whose resolution OpenSlide states.
        """
        tiled = [page for page in self.pages if page.tiled]
        largest_first = all(page.width <= tiled[0].width and page.height <= tiled[0].height for page in tiled)
        return (not self.ome and largest_first) and all(
            page.layout.is_plain and page.layout.compression in LIBTIFF_COMPRESSIONS and not page.colours_contradict
            for page in tiled
        )

    @property
    def is_tiled(self) -> bool:
        """Whether any page is."""
        return any(page.tiled for page in self.pages)


def check_tiff(path: Path, name: str) -> TiffContent:
    """The content of a TIFF of which every tile and strip lies inside the file, and no tile is beyond reason.

    OpenSlide opens truncated files and fails only when it reads there, perhaps after an hour of work.

    Raises
    ------
    UnreadableSlideError
        If the directories are beyond reason, do not parse or point behind the end of the file, or lists no data.
    SlideTooLargeError
        If a stored tile is larger than any scanner writes.
    """
    size = path.stat().st_size
    check_directories(path, name)
    try:
        with open_pages(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            facts = [_facts(page) for page in pages]
            ome = is_ome(pages[0].description)
            chain_end = pages[-1]
            pages += [tifffile.TiffPage.aspage(sub) for page in pages for sub in page.pages or ()]
            held = max((count for _, count in _parts(pages[0])), default=0)
            end = max((offset + count for page in pages for offset, count in _parts(page)), default=0)
            tiles = {(int(page.tilewidth), int(page.tilelength)) for page in pages if page.is_tiled}
            codecs = [find_jpeg_codec(page) or find_jpeg2000_codec(page) for page in pages]
            found = [read_direct_level(*pair) for pair in zip(pages, codecs, strict=True)]
            end = max(end, _next_directory(tiff, chain_end))
    except (
        tifffile.TiffFileError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        OSError,
        AttributeError,
        struct.error,
    ) as error:
        raise UnreadableSlideError(
            f"{name} is a damaged TIFF (its directory does not parse); copy it again from the scanner"
        ) from error
    for width, height in tiles:
        check_stored_tile(width, height)
    if not held:
        raise UnreadableSlideError(f"{name} states a size but holds no image data; copy it again from the scanner")
    if end > size:
        raise UnreadableSlideError(
            f"{name} is truncated: its data goes on to byte {end}, the file ends at {size}; copy it again"
        )
    return TiffContent(facts, [level for level in found if level is not None], ome)


def _parts(page: tifffile.TiffPage) -> Iterator[tuple[int, int]]:
    """Offset and length of each tile or strip of a page; one by one, since an NDPI lists millions."""
    return zip(page.dataoffsets, page.databytecounts, strict=False)


def _facts(page: tifffile.TiffPage) -> TiffPageFacts:
    width, height = int(page.imagewidth), int(page.imagelength)
    return TiffPageFacts(
        width, height, bool(page.is_tiled), read_layout(page), read_resolution(page), colours_contradict(page)
    )


def _next_directory(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Where the directory after the last readable `page` starts; 0 where the chain ends as it should."""
    layout, handle = tiff.tiff, tiff.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(tags * layout.tagsize, 1)
    (offset,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
    return int(offset)
