"""TIFFs of scanners whose descriptions are long and whose directories are many."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from serving.slides.opening import open_slide
from tests.samples import noise

PIXELS = noise(1024, 1024)


def attribute(name: str, value: str, kind: str = "IString") -> str:
    return f'<Attribute Name="{name}" Group="0x0000" Element="0x0000" PMSVR="{kind}">{value}</Attribute>'


def data_object(kind: str, *attributes: str) -> str:
    return f'<DataObject ObjectType="{kind}">{"".join(attributes)}</DataObject>'


def philips_description(picture_bytes: int) -> str:
    """XML as Philips writes it, with pictures of label and macro in base64."""
    levels = [
        data_object(
            "PixelDataRepresentation",
            attribute("DICOM_PIXEL_SPACING", f'"{spacing}" "{spacing}"', "IDoubleArray"),
            attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", str(number), "IUInt16"),
        )
        for number, spacing in enumerate((0.00025, 0.0005))
    ]
    slide = data_object(
        "DPScannedImage",
        attribute("PIM_DP_IMAGE_TYPE", "WSI"),
        attribute("DICOM_PIXEL_SPACING", '"0.00025" "0.00025"', "IDoubleArray"),
        attribute("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", f"<Array>{''.join(levels)}</Array>", "IDataObjectArray"),
    )
    pictures = [
        data_object(
            "DPScannedImage",
            attribute("PIM_DP_IMAGE_TYPE", kind),
            attribute("PIM_DP_IMAGE_DATA", "QUJD" * (picture_bytes // 4)),
        )
        for kind in ("LABELIMAGE", "MACROIMAGE")
    ]
    scanned = attribute("PIM_DP_SCANNED_IMAGES", f"<Array>{slide}{''.join(pictures)}</Array>", "IDataObjectArray")
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n'
    return head + data_object("DPUfsImport", attribute("DICOM_MANUFACTURER", "PHILIPS"), scanned)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_philips_tiff_with_large_pictures_in_its_description_opens(tmp_path: Path, *, bigtiff: bool) -> None:
    path = tmp_path / "a.tiff"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for level in range(2):
            tiff.write(
                PIXELS[:: 2**level, :: 2**level], tile=(512, 512), photometric="rgb", compression="jpeg", metadata=None,
                software="Philips DP v1.0", subfiletype=min(level, 1),
                description=None if level else philips_description(9 * 10**6),
            )  # fmt: skip
    with open_slide(path) as slide:
        assert (slide.vendor, slide.mpp, slide.width) == ("philips", 0.25, 1024)


def test_a_tiff_with_the_positions_of_many_tiles_in_its_xmp_opens(tmp_path: Path) -> None:
    """As iScan's EncodeInfo has them, one text of 20 MB."""
    path, joint = tmp_path / "a.tif", b'<TileJointInfo FlagJoined="1" Confidence="99" Direction="RIGHT" Tile1="1"/>'
    text = b"<Info>" + joint * (20 * 10**6 // len(joint)) + b"</Info>"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            PIXELS, tile=(512, 512), photometric="rgb", metadata=None, extratags=[(700, 1, len(text), text, True)]
        )
    with open_slide(path) as slide:
        assert slide.width == 1024


def test_a_tiff_of_thousands_of_pictures_opens(tmp_path: Path) -> None:
    path, small = tmp_path / "a.tif", np.full((2999, 16, 16, 3), 200, np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PIXELS, tile=(256, 256), photometric="rgb", metadata=None)
        tiff.write(small, tile=(16, 16), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 3000
    with open_slide(path) as slide:
        assert slide.width == 1024
