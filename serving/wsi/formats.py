"""What a file is, told by its content; and whether a TIFF's data lies inside the file."""

from enum import Enum
from pathlib import Path

import tifffile

from serving.wsi.errors import EmptyUploadError, UnreadableSlideError, UnsupportedFormatError
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


def kind_of(path: Path) -> FileKind:
    """The kind of `path` by its first bytes; a folder counts as the DICOM or MRXS slide that it holds.

    Raises
    ------
    EmptyUploadError, UnsupportedFormatError, UnreadableSlideError
        If it is missing, empty or of no known kind.
    """
    if path.is_dir():
        if any(path.glob("*.dcm")):
            return FileKind.DICOM
        raise UnsupportedFormatError(f"{path.name} is a folder without DICOM files; name the slide's main file instead")
    if not path.is_file():
        raise UnreadableSlideError(f"there is no file {path.name}")
    if path.stat().st_size == 0:
        raise EmptyUploadError(f"{path.name} has no bytes; send the slide's content")
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
    raise UnsupportedFormatError(f"{path.name} is not a slide: {READABLE}")


def check_tiff(path: Path) -> None:
    """Make sure that every tile and strip that a TIFF lists lies inside the file, and that no tile is beyond reason.

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
            ends = [o + n for page in pages for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
            first = sum(tiff.pages.first.databytecounts)
            tiles = {(int(page.tilewidth), int(page.tilelength)) for page in pages if page.is_tiled}
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, OSError, AttributeError) as error:
        raise UnreadableSlideError(
            f"{path.name} is a damaged TIFF ({error}); copy it again from the scanner"
        ) from error
    for width, height in tiles:
        check_stored_tile(width, height)
    if first == 0:
        raise UnreadableSlideError(f"{path.name} states a size but holds no image data; copy it again from the scanner")
    if max(ends, default=0) > size:
        raise UnreadableSlideError(
            f"{path.name} is truncated: its data goes on to byte {max(ends)}, the file ends at {size}; copy it again"
        )
