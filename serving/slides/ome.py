"""What OME-XML says of the slide in an OME-TIFF (https://docs.openmicroscopy.org/ome-model)."""

import re
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.pixelsize import PixelSize, check_stated_size

_UM = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "pm": 1e-6,
    "Å": 1e-4,
}
_BESIDE = re.compile(r"label|macro|overview|thumbnail|preview", re.IGNORECASE)
"""Names of images beside the slide (Bio-Formats, QuPath)."""
_COLOURS = ("red", "green", "blue")
_PURE = {"red": 0xFF000000, "green": 0x00FF0000, "blue": 0x0000FF00}
"""Channel colours as RGBA."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """The image of the slide.

    directories : number of the TIFF page with the picture; three where red, green and blue are pages of their own
    beside : names of the images beside the slide
    """

    width: int
    height: int
    directories: tuple[int, ...]
    size: PixelSize | None
    significant_bits: int | None
    beside: tuple[str, ...] = ()


def is_ome(description: str) -> bool:
    """Whether the description of a TIFF's first page is OME-XML."""
    return description.rstrip().endswith("OME>") and "<OME" in description


def find_slide_image(xml: str, name: str) -> OmeImage:
    """The image of the slide: the largest that is not by its name a label or macro picture.

    Raises
    ------
    UnreadableSlideError
        If the XML does not parse.
    UnsupportedFormatError
        If its planes are not one picture in red, green and blue within this file.
    """
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - expat bounds expansion, and a decoder has limits
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        images = [(image, image.find("Pixels")) for image in root.findall("Image")]
        found = [
            (int(pixels.attrib["SizeX"]) * int(pixels.attrib["SizeY"]), image, pixels)
            for image, pixels in images
            if pixels is not None and not _BESIDE.search(image.get("Name", ""))
        ]
        if not found:
            raise UnsupportedFormatError(f"{name} is an OME-TIFF without an image of a slide")
        _, _, pixels = max(found, key=lambda item: item[0])
        beside = tuple(stated for image, _ in images if _BESIDE.search(stated := image.get("Name", "")))
        return replace(_image(pixels, root.get("UUID"), name), beside=beside)
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise UnreadableSlideError(f"{name} has OME-XML that does not parse; export it again") from error


def _image(pixels: ElementTree.Element, own: str | None, name: str) -> OmeImage:
    for axis, what in (("SizeZ", "focal planes"), ("SizeT", "points in time")):
        if (count := int(pixels.get(axis, "1"))) != 1:
            raise UnsupportedFormatError(f"{name} holds {count} {what}; export one of them")
    bits = pixels.get("SignificantBits")
    return OmeImage(
        width=int(pixels.attrib["SizeX"]),
        height=int(pixels.attrib["SizeY"]),
        directories=_directories(pixels, own, name),
        size=_size(pixels),
        significant_bits=None if bits is None else int(bits),
    )


def _directories(pixels: ElementTree.Element, own: str | None, name: str) -> tuple[int, ...]:
    planes = _planes(pixels, own, name)
    channels = pixels.findall("Channel")
    samples = [int(channel.get("SamplesPerPixel", "1")) for channel in channels]
    if len(channels) <= 1:
        return (planes.get(0, 0),)
    if samples == [1, 1, 1] and (order := _colour_order(channels)) is not None:
        return tuple(planes.get(channel, channel) for channel in order)
    names = ", ".join(channel.get("Name") or "unnamed" for channel in channels)[:120]
    raise UnsupportedFormatError(
        f"{name} holds {len(channels)} channels ({names}) and not one picture in red, green and blue; export it as RGB"
    )


def _planes(pixels: ElementTree.Element, own: str | None, name: str) -> dict[int, int]:
    """The TIFF page of each channel's plane."""
    files = {uuid.text for data in pixels.findall("TiffData") if (uuid := data.find("UUID")) is not None}
    if len(files) > 1 or (own is not None and files - {own}):
        raise UnsupportedFormatError(f"{name} has planes in other files; export it as one file")
    planes: dict[int, int] = {}
    for data in pixels.findall("TiffData"):
        first, page = int(data.get("FirstC", "0")), int(data.get("IFD", "0"))
        count = data.get("PlaneCount")
        for step in range(min(int(count), 16) if count is not None else 1 if "IFD" in data.attrib else 16):
            planes[first + step] = page + step
    return planes


def _colour_order(channels: list[ElementTree.Element]) -> tuple[int, ...] | None:
    """Which channel is red, which green, which blue; None where names and colours do not say."""
    kinds = [_colour(channel) for channel in channels]
    return tuple(kinds.index(colour) for colour in _COLOURS) if sorted(map(str, kinds)) == sorted(_COLOURS) else None


def _colour(channel: ElementTree.Element) -> str | None:
    stated = (channel.get("Name") or "").strip().lower()
    for colour in _COLOURS:
        if stated in (colour, colour[0]):
            return colour
    if stated or channel.get("Color") is None:
        return None
    value = int(channel.attrib["Color"]) & 0xFFFFFF00
    return next((colour for colour, pure in _PURE.items() if value == pure), None)


def _size(pixels: ElementTree.Element) -> PixelSize | None:
    sides = []
    for axis in "XY":
        text = pixels.get(f"PhysicalSize{axis}")
        unit = _UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if text is None or unit is None:
            return None
        sides.append(float(text) * unit)
    return check_stated_size(*sides)
