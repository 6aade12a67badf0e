"""What a file is, told by its content; and whether a TIFF's data lies inside the file."""

import struct
from enum import Enum
from pathlib import Path

import tifffile

from serving.wsi.errors import EmptyUploadError, UnreadableSlideError, UnsupportedFormatError
from serving.wsi.jpeglevels import JpegLevel, jpeg_level
from serving.wsi.limits import check_stored_tile

READABLE = (
    "SVS, NDPI, SCN, MRXS, BIF, VSF, Philips and generic tiled TIFF, OME-TIFF, DICOM WSI, PNG and JPEG are readable"
)
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class FileKind(Enum):
    """Which reader a file goes to."""

    IMAGE = "image"
    TIFF = "tiff"
    DICOM = "dicom"
    MRXS = "mrxs"
    VMS = "vms"


def kind_of(path: Path, name: str) -> FileKind:
    """The kind of `path` by its first bytes; a folder counts as the DICOM slide that it holds.

    name : what errors call it

    Raises
    ------
    EmptyUploadError, UnsupportedFormatError, UnreadableSlideError
        If it is missing, empty or of no known kind.
    """
    if path.is_dir():
        if any(path.glob("*.dcm")):
            return FileKind.DICOM
        raise UnsupportedFormatError(f"{name} is a folder without DICOM files; name the slide's main file instead")
    if not path.is_file():
        raise UnreadableSlideError(f"there is no file {name}")
    if path.stat().st_size == 0:
        raise EmptyUploadError(f"{name} has no bytes; send the slide's content")
    with path.open("rb") as handle:
        head = handle.read(132)
    if head.startswith(_IMAGE_HEADS):
        return FileKind.MRXS if path.suffix.lower() == ".mrxs" else FileKind.IMAGE
    if head.startswith(_TIFF_HEADS):
        return FileKind.TIFF
    if head[128:132] == b"DICM":
        return FileKind.DICOM
    if path.suffix.lower() in {".vms", ".vmu"}:
        return FileKind.VMS
    raise UnsupportedFormatError(f"{name} is not a slide: {READABLE}")


def checked_tiff(path: Path, name: str) -> list[JpegLevel]:
    """The plain JPEG levels of a TIFF of which every tile and strip lies inside the file, and no tile is beyond reason.

    OpenSlide opens truncated files and fails only when it reads there, perhaps after an hour of work.

    Raises
    ------
    UnreadableSlideError
        If the directory does not parse or points behind the end of the file, or lists no data.
    SlideTooLargeError
        If a stored tile is larger than any scanner writes.
    """
    size = path.stat().st_size
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            parts = [list(zip(page.dataoffsets, page.databytecounts, strict=False)) for page in pages]
            tiles = {(int(page.tilewidth), int(page.tilelength)) for page in pages if page.is_tiled}
            levels = [level for page in pages if (level := jpeg_level(page)) is not None]
            following = _next_directory(tiff, pages[-1])
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
    if not sum(count for _, count in parts[0]):
        raise UnreadableSlideError(f"{name} states a size but holds no image data; copy it again from the scanner")
    end = max([following, *(offset + count for page in parts for offset, count in page)])
    if end > size:
        raise UnreadableSlideError(
            f"{name} is truncated: its data goes on to byte {end}, the file ends at {size}; copy it again"
        )
    return levels


def _next_directory(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Where the directory after the last readable `page` starts; 0 where the chain ends as it should."""
    layout, handle = tiff.tiff, tiff.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(tags * layout.tagsize, 1)
    (offset,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
    return int(offset)
