"""Which files of a folder are one DICOM slide, told by what they hold and never by their names."""

import io
import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class UID of VL Whole Slide Microscopy Image Storage (DICOM PS3.4, B.5)."""
HEAD_BYTES = 132
_PREFIX_AT, _PREFIX = 128, b"DICM"
"""DICOM PS3.10, 7.1: 128 bytes for any other use, such as the head of a TIFF, then the prefix."""
_HEADER_BYTES = 2**18
"""Read of each file. Elements stand in the order of their tags, so the series is among the first of them, before the
functional groups and the pixels."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax UID of data sets that are compressed as a whole, which no reader of slides takes. pydicom would
unpack the whole of what it is given."""
_READ = (
    "ImageType", "SOPClassUID", "SeriesInstanceUID", "ConcatenationUID", "DimensionOrganizationType", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsStored", "PixelRepresentation",
)  # fmt: skip
_LAST = 0x00280103
"""Tag of the last of these."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What the header of one DICOM file says."""

    path: Path
    sop_class: str
    series: str
    volume: bool
    """Whether it is a level of the slide itself, not its label, an overview or an object of another kind."""
    transfer_syntax: str = ""
    """UID of how its pixels are stored."""
    photometric: str = ""
    samples: int = 0
    """Of a pixel."""
    bits: int = 0
    """Of a sample."""
    planar: bool = False
    """Whether all red samples of a tile come before all green ones."""
    signed: bool = False
    """Whether samples may be below zero."""
    frames: int = 1
    """Tiles that are stored."""
    tile_width: int = 0
    tile_height: int = 0
    sparse: bool = False
    """Whether tiles lie where their own positions say, and not row by row."""
    concatenation: str = ""
    """UID of a level that is stored in several files, of which this is one; empty for others."""


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with `head`, of at least `HEAD_BYTES`, says that it is DICOM."""
    return head[_PREFIX_AT:HEAD_BYTES] == _PREFIX


def read_instance(path: Path, called: str | None = None) -> Instance:
    """What the header of a DICOM file says; at most `_HEADER_BYTES` of it are read. Of what is no whole-slide image, nothing.

    called : what errors call the file, by default its own name

    Raises
    ------
    UnreadableSlideError
        If the header does not parse, or a whole-slide image states no series.
    """
    _quieten()
    from pydicom.filereader import read_partial  # noqa: PLC0415 - takes long to import, and few slides are DICOM
    from pydicom.tag import Tag  # noqa: PLC0415

    name = called or path.name
    with path.open("rb") as handle:
        header = handle.read(_HEADER_BYTES)
    if _DEFLATED in header or WHOLE_SLIDE.encode() not in header:
        return Instance(path, "", "", volume=False)
    try:
        found = read_partial(
            io.BytesIO(header),
            stop_when=lambda tag, vr, length: tag > _LAST,
            specific_tags=[Tag(keyword) for keyword in _READ],
        )
        sop_class = str(found.file_meta.get("MediaStorageSOPClassUID") or found.get("SOPClassUID") or "")
        series, image_type = str(found.get("SeriesInstanceUID") or ""), found.get("ImageType") or ()
        instance = Instance(
            path,
            sop_class,
            series,
            volume="VOLUME" in ([image_type] if isinstance(image_type, str) else list(image_type)),
            transfer_syntax=str(found.file_meta.get("TransferSyntaxUID") or ""),
            photometric=str(found.get("PhotometricInterpretation") or ""),
            samples=int(found.get("SamplesPerPixel") or 0),
            bits=int(found.get("BitsStored") or 0),
            planar=found.get("PlanarConfiguration") == 1,
            signed=found.get("PixelRepresentation") == 1,
            frames=int(found.get("NumberOfFrames") or 1),
            tile_width=int(found.get("Columns") or 0),
            tile_height=int(found.get("Rows") or 0),
            concatenation=str(found.get("ConcatenationUID") or ""),
            sparse=found.get("DimensionOrganizationType") == "TILED_SPARSE",
        )
    except Exception as error:  # pydicom raises what it meets: struct.error, KeyError, ValueError, RecursionError ...
        raise UnreadableSlideError(f"{name} is a damaged DICOM file; copy it again from the scanner") from error
    if sop_class == WHOLE_SLIDE and not series:
        raise UnreadableSlideError(f"{name} is a DICOM image without a series; export it again from the scanner")
    return instance


def _quieten() -> None:
    """Keep pydicom from quoting values of damaged files in warnings and the log: they may be of a patient."""
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    logging.getLogger("pydicom").setLevel(logging.ERROR)


def group_series(paths: Iterable[Path]) -> list[list[Path]]:
    """The whole-slide images among DICOM files, one list for each series, in the order of names.

    Files of another SOP class (annotations, segmentations, reports, a DICOMDIR) are left aside. So are series that hold
    only a label or an overview, where another series holds a slide.

    Raises
    ------
    UnreadableSlideError
        If one of the files is damaged: it may be a level of the slide.
    """
    found: dict[str, list[Instance]] = {}
    for path in sorted(paths):
        instance = read_instance(path)
        if instance.sop_class == WHOLE_SLIDE:
            found.setdefault(instance.series, []).append(instance)
    series = sorted(found.values(), key=lambda members: members[0].path)
    with_levels = [members for members in series if any(instance.volume for instance in members)]
    return [[instance.path for instance in members] for members in with_levels or series]


def find_series(path: Path, paths: Iterable[Path], called: str | None = None) -> list[Path]:
    """Those of `paths` that belong to the same slide as `path`, which is one of them.

    called : what errors call `path`, by default its own name

    Raises
    ------
    UnsupportedFormatError
        If `path` is DICOM, but no whole-slide image.
    UnreadableSlideError
        If it, or another file beside it, is damaged.
    """
    own = read_instance(path, called)
    if own.sop_class != WHOLE_SLIDE:
        raise UnsupportedFormatError(
            f"{called or path.name} is a DICOM file, but no whole-slide image; name a file of the slide itself"
        )
    instances = [own if other == path else read_instance(other) for other in sorted(paths)]
    return [other.path for other in instances if (other.sop_class, other.series) == (WHOLE_SLIDE, own.series)]
