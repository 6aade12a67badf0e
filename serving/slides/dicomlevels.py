"""Whether the pixels of a DICOM slide are stored as its reader takes them, and in the colours that its header states."""

import mmap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.words import format_count
from serving.slides.dicomfiles import WHOLE_SLIDE, Instance, read_instance
from serving.slides.dicomframes import find_frames
from serving.slides.jpeg2000codec import Jpeg2000Codec, has_colour_transform

JPEG = "1.2.840.10008.1.2.4.50"
JPEG2000_LOSSLESS, JPEG2000 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
COLOURS = {
    "1.2.840.10008.1.2.1": ("RGB",),
    JPEG: ("RGB", "YBR_FULL_422"),
    JPEG2000_LOSSLESS: ("RGB", "YBR_RCT"),
    JPEG2000: ("RGB", "YBR_ICT", "YBR_RCT"),
}
"""Photometric interpretations that OpenSlide 4.0.1 reads, by transfer syntax (src/openslide-vendor-dicom.c)."""
_NEW = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Transfer syntaxes of DICOM PS3.6, table A-1, that pydicom 3.0 has no name for."""
_FOCAL_PLANES = b"\x48\x00\x03\x03UL\x04\x00"
"""Tag, representation and length of TotalPixelMatrixFocalPlanes (0048,0303), behind which the number stands. What stands before it,
such as colour profiles, may be longer than the part of a header that is parsed."""
_PER_FRAME = b"\x00\x52\x30\x92"
"""Tag of the sequence in which each tile states its position (5200,9230)."""
_BEFORE_PIXELS = 2**24
"""Of a file, in which a tag is looked for: colour profiles, the longest elements in front, have a few MiB."""
_START_BYTES = 2**16
"""Of a tile, in which the markers before its data stand."""
_SUGGESTION = "export it as JPEG or JPEG 2000 in RGB or YBR, for example with wsidicomizer"


def check_levels(paths: Iterable[Path], name: str) -> None:
    """Make sure that a DICOM slide's levels are stored as OpenSlide takes them, in the colours that they state.

    OpenSlide goes by the header alone, so a header that contradicts its tiles gives wrong colours.

    name : what errors call the slide

    Raises
    ------
    UnsupportedFormatError
        If not; the message names the codec, the colours or the depth.
    UnreadableSlideError
        If a header does not parse, tiles that need a position have none, or one of JPEG 2000 contradicts the header.
    """
    levels = [level for path in paths if (level := read_instance(path)).sop_class == WHOLE_SLIDE and level.volume]
    if not levels:
        raise UnsupportedFormatError(
            f"{name} holds no level of a slide, only its label or an overview; send the other files of its series too"
        )
    parts = Counter(level.concatenation for level in levels if level.concatenation)
    if 1 in parts.values():
        raise UnsupportedFormatError(
            f"{name} has a level that is stored in several files (a concatenation), of which one alone is here; send all of them"
        )
    for level in levels:
        _check_storage(level, name)
        _check_planes(level, name)
        if level.transfer_syntax == JPEG:
            _check_colours(level, name)
        if level.transfer_syntax in (JPEG2000_LOSSLESS, JPEG2000):
            _check_codestreams(level, name)
        if level.sparse:
            _check_positions(level, name)


def _check_storage(level: Instance, name: str) -> None:
    if level.transfer_syntax not in COLOURS:
        raise UnsupportedFormatError(
            f"{name} holds tiles in the transfer syntax {_syntax(level.transfer_syntax)}, which is not read; {_SUGGESTION}"
        )
    if (level.samples, level.bits) != (3, 8):
        raise UnsupportedFormatError(
            f"{name} holds pixels of {format_count(level.samples, 'sample')} of {level.bits} bits "
            f"({level.photometric[:20] or 'colours not stated'}); stained tissue is read as 3 samples of 8 bits: {_SUGGESTION}"
        )
    if level.signed or level.planar:
        how = "signed samples" if level.signed else "red, green and blue one after the other (PlanarConfiguration 1)"
        raise UnsupportedFormatError(f"{name} holds tiles of {how}, which is not read; {_SUGGESTION}")
    if level.photometric not in COLOURS[level.transfer_syntax]:
        raise UnsupportedFormatError(
            f"{name} states the colours {level.photometric[:20] or 'of no kind'} for {_syntax(level.transfer_syntax)}, which "
            f"is not read; {_SUGGESTION}"
        )


def _check_planes(level: Instance, name: str) -> None:
    with level.path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_FOCAL_PLANES, 0, _BEFORE_PIXELS)
        planes = (
            int.from_bytes(content[at + len(_FOCAL_PLANES) : at + len(_FOCAL_PLANES) + 4], "little") if at >= 0 else 1
        )
    if planes > 1:
        raise UnsupportedFormatError(f"{name} holds {planes} focal planes; export one of them")


def _check_positions(level: Instance, name: str) -> None:
    """OpenSlide's libdicom asks for the positions of tiles without looking whether there are any, and ends its process."""
    with level.path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_PER_FRAME, 0, _BEFORE_PIXELS) < 0:
            raise UnreadableSlideError(
                f"{name} states no positions of its tiles, which are in no order (TILED_SPARSE); copy it again from the scanner"
            )


def _check_colours(level: Instance, name: str) -> None:
    found = _detect_colours(_first_tile(level))
    stated = "RGB" if level.photometric == "RGB" else "YCbCr"
    if found not in ("", stated):
        raise _contradiction(level, name, f"that they are {found}")


def _contradiction(level: Instance, name: str, said: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{name} states {level.photometric} in its header, but its tiles say {said}: its colours would be "
        "wrong; export it again from the scanner's software, or correct its PhotometricInterpretation"
    )


def _syntax(uid: str) -> str:
    from pydicom.uid import UID  # noqa: PLC0415 - takes long to import, and few slides are DICOM

    return _NEW.get(uid, UID(uid).name[:80] if uid else "that it does not state")


def _check_codestreams(level: Instance, name: str) -> None:
    """Of JPEG 2000 OpenSlide goes by the size in the header, and shows what is not the tile's where a codestream has another."""
    codec = Jpeg2000Codec(level.photometric == "RGB")
    size = (level.tile_width, level.tile_height)
    with level.path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        frames = list(find_frames(content, level.frames))
        heads = [content[at : at + min(codec.head_bytes, length)] for at, length in frames]
        first = b"".join(content[at : at + _START_BYTES] for at, _ in frames[:1])
    if not heads or not all(codec.is_sound(head, *size) for head in heads):
        raise UnreadableSlideError(f"{name} is damaged in {level.path.name}; copy it again from the scanner")
    # The decoder undoes a transform that the codestream states, and nothing that the header alone states.
    if level.photometric != "RGB" and has_colour_transform(first) is False:
        raise _contradiction(level, name, "that no transform was applied")


def _first_tile(level: Instance) -> bytes:
    """The beginning of the first tile; empty where there is none."""
    with level.path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return next((content[at : at + _START_BYTES] for at, _ in find_frames(content, level.frames)), b"")


def _detect_colours(tile: bytes) -> str:
    """RGB or YCbCr, where markers of a JPEG tell for sure; else empty.

    Adobe's marker states it. Components that are called R, G and B are; colour with fewer samples than brightness is YCbCr.
    """
    found = ""
    for kind, content in _segments(tile):
        if kind == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            return {0: "RGB", 1: "YCbCr"}.get(content[11], "")
        if kind in (0xC0, 0xC1, 0xC2) and len(content) >= 15 and content[5] == 3:
            names, sampling = content[6:15:3], content[7:15:3]
            found = "RGB" if names == b"RGB" else "YCbCr" if sampling[0] != sampling[1] == sampling[2] else ""
    return found


def _segments(tile: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of the marker segments of a JPEG before its data (ITU-T T.81, B.1.1.4)."""
    at = 2
    while tile[:2] == b"\xff\xd8" and at + 4 <= len(tile) and tile[at] == 0xFF and tile[at + 1] != 0xDA:
        length = int.from_bytes(tile[at + 2 : at + 4], "big")
        yield tile[at + 1], tile[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)
