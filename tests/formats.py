"""One field of tissue in every way in which files store it, whether it is to be read or to be refused by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.scoring.detector import Detector
from serving.scoring.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.wsi.slide import open_slide
from tests.field_files import (
    MPP,
    SCN_AT,
    Pixels,
    aperio_jpeg2000,
    dicom,
    dicom_grey,
    dicom_jpeg,
    dicom_oblong,
    grey,
    ome,
    ome_with_pyramid,
    picture,
    planes,
    png_of_16_bits,
    scn,
    tiff,
    wide,
    with_alpha,
    ycbcr,
)

AREA_LOSS, AREA_STEP, CENTRE_LOSS_UM = 0.03, 0.01, 1.0
"""Share of the tissue by which codecs and resampling change its outline; the same where the mask alone lies otherwise on the
slide; and how far a figure moves."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A way to store a field of 0.25 um/px.

    scale : px of the file per px of the field, (x, y); at : where the field begins, level-0 px
    refused : part of the sentence that refuses it; None where it is read
    """

    write: Callable[[Path, Pixels], Path]
    scale: tuple[float, float] = (1.0, 1.0)
    at: tuple[int, int] = (0, 0)
    refused: str | None = None
    states_mpp: bool = True
    lossy: bool = False

    @property
    def shown(self) -> tuple[float, float]:
        """Level-0 px per px of the field: pixels that are not square are shown as square ones."""
        finer = max(self.scale)
        return finer, finer


_JPEG: dict[str, Any] = {"compression": "jpeg", "compressionargs": {"level": 95}}
_12_BITS = 4095 / 255

FORMATS: dict[str, Stored] = {
    "deflate TIFF": Stored(tiff(compression="deflate")),
    "LZW TIFF": Stored(tiff(compression="lzw", predictor=True)),
    "uncompressed TIFF": Stored(tiff()),
    "zstd TIFF": Stored(tiff(compression="zstd")),
    "WebP TIFF": Stored(tiff(compression="webp", compressionargs={"lossless": True})),
    "JPEG XL TIFF": Stored(tiff(compression="jpegxl", compressionargs={"lossless": True})),
    "JPEG TIFF, YCbCr": Stored(tiff(**_JPEG), lossy=True),
    "JPEG TIFF, RGB": Stored(
        tiff(compression="jpeg", compressionargs={"level": 95, "outcolorspace": "rgb"}), lossy=True
    ),
    "JPEG 2000 TIFF (34712)": Stored(tiff(compression="jpeg2000")),
    "Aperio JPEG 2000 (33003)": Stored(aperio_jpeg2000(33003), lossy=True),
    "Aperio JPEG 2000 (33005)": Stored(aperio_jpeg2000(33005)),
    "JPEG 2000 TIFF of YCbCr (33003), unsigned": Stored(
        tiff(compression=33003, convert=ycbcr, compressionargs={"level": 0}), lossy=True
    ),
    "OME-TIFF": Stored(ome("YXS")),
    "OME-TIFF, planar": Stored(ome("SYX")),
    "OME-TIFF, pages named red, green, blue": Stored(ome("CYX", Channel={"Name": ["Red", "Green", "Blue"]})),
    "OME-TIFF, pyramid and macro": Stored(ome_with_pyramid, lossy=True),
    "big-endian TIFF": Stored(tiff(compression="deflate", writer={"byteorder": ">"})),
    "big-endian TIFF, JPEG": Stored(tiff(writer={"byteorder": ">"}, **_JPEG), lossy=True),
    "big-endian BigTIFF": Stored(tiff(compression="deflate", writer={"byteorder": ">", "bigtiff": True})),
    "planar TIFF": Stored(tiff(compression="deflate", convert=planes, planarconfig="separate")),
    "16-bit TIFF": Stored(tiff(compression="deflate", convert=wide(257))),
    "16-bit big-endian TIFF": Stored(tiff(compression="lzw", convert=wide(257), writer={"byteorder": ">"})),
    "12 bits in 16, stated": Stored(
        tiff(
            compression="deflate",
            convert=lambda p: np.rint(p * _12_BITS).astype(np.uint16),
            extratags=[(281, 3, 3, (4095, 4095, 4095), True)],
        )
    ),
    "opaque RGBA TIFF": Stored(tiff(compression="deflate", convert=with_alpha(255), extrasamples=["unassalpha"])),
    "a fourth sample of no stated kind": Stored(
        tiff(compression="deflate", convert=with_alpha(3), extrasamples=["unspecified"])
    ),
    "pixels of 0.25 x 0.5 um": Stored(tiff(compression="deflate", scale=(1, 0.5)), scale=(1, 0.5), lossy=True),
    "pixels of 0.5 x 0.25 um, big-endian": Stored(
        tiff(compression="deflate", scale=(0.5, 1), writer={"byteorder": ">"}), scale=(0.5, 1), lossy=True
    ),
    "20x": Stored(tiff(compression="deflate", scale=(0.5, 0.5)), scale=(0.5, 0.5), lossy=True),
    "80x": Stored(tiff(compression="deflate", scale=(2, 2)), scale=(2, 2), lossy=True),
    "PNG": Stored(picture("RGB")),
    "PNG, RGBA": Stored(picture("RGBA")),
    "PNG of 16 bits": Stored(png_of_16_bits),
    "PNG, pixels of 0.25 x 0.5 um": Stored(picture("RGB", scale=(1, 0.5)), scale=(1, 0.5), lossy=True),
    "JPEG": Stored(picture("RGB", suffix=".jpg"), states_mpp=False, lossy=True),
    "DICOM": Stored(dicom),
    "DICOM, pixels of 0.25 x 0.5 um": Stored(dicom_oblong, scale=(1, 0.5), lossy=True),
    "DICOM, JPEG": Stored(dicom_jpeg, lossy=True),
    "DICOM, grey": Stored(dicom_grey("MONOCHROME2"), refused="1 sample of 8 bits (MONOCHROME2)"),
    "DICOM, inverted grey": Stored(dicom_grey("MONOCHROME1"), refused="1 sample of 8 bits (MONOCHROME1)"),
    "DICOM, 16-bit grey": Stored(dicom_grey("MONOCHROME2", bits=16), refused="1 sample of 16 bits (MONOCHROME2)"),
    "DICOM, JPEG of grey": Stored(dicom_grey("MONOCHROME2", jpeg=True), refused="1 sample of 8 bits (MONOCHROME2)"),
    "SCN with bounds": Stored(scn, at=SCN_AT, lossy=True),
    "grey TIFF": Stored(
        tiff(compression="deflate", convert=grey, photometric="minisblack"), refused="1 grey channel of 8 bits"
    ),
    "16-bit grey TIFF": Stored(
        tiff(compression="deflate", convert=lambda p: grey(p).astype(np.uint16) * 257, photometric="minisblack"),
        refused="1 grey channel of 16 bits",
    ),
    "inverted grey TIFF": Stored(
        tiff(compression="deflate", convert=lambda p: 255 - grey(p), photometric="miniswhite"), refused="MINISWHITE"
    ),
    "CMYK TIFF": Stored(
        tiff(
            compression="deflate",
            convert=lambda p: np.asarray(Image.fromarray(p).convert("CMYK")),
            photometric="separated",
        ),
        refused="SEPARATED",
    ),
    "CIELab TIFF": Stored(
        tiff(
            compression="deflate",
            convert=lambda p: np.asarray(Image.fromarray(p).convert("YCbCr")),
            photometric="cielab",
        ),
        refused="CIELAB",
    ),
    "12 bits in 16, not stated": Stored(
        tiff(compression="deflate", convert=lambda p: np.rint(p * _12_BITS).astype(np.uint16)),
        refused="none seen is above",
    ),
    "32-bit float TIFF": Stored(
        tiff(compression="deflate", convert=lambda p: p.astype(np.float32) / 255), refused="no unsigned integers"
    ),
    "five samples a pixel": Stored(
        tiff(compression="deflate", convert=lambda p: np.dstack([p, p[..., :2]]), extrasamples=["unspecified"] * 2),
        refused="5 samples",
    ),
    "OME-TIFF, three unnamed channels": Stored(ome("CYX"), refused="3 channels"),
    "OME-TIFF, fluorescence": Stored(ome("CYX", Channel={"Name": ["DAPI", "FITC", "Cy5"]}), refused="DAPI, FITC, Cy5"),
    "mirrored TIFF": Stored(tiff(compression="deflate", extratags=[(274, 3, 1, 2, True)]), refused="Orientation 2"),
    "turned big-endian TIFF, JPEG": Stored(
        tiff(extratags=[(274, 3, 1, 6, True)], writer={"byteorder": ">"}, **_JPEG), refused="Orientation 6"
    ),
    "TIFF in strips": Stored(tiff(compression="deflate", tile=None), refused="strips and not in tiles"),
    "JPEG 2000 TIFF of YCbCr (34712)": Stored(
        tiff(photometric="ycbcr", compression="jpeg2000", convert=ycbcr),
        refused="YCBCR pixels compressed with JPEG2000",
    ),
    "LERC TIFF": Stored(tiff(compression="lerc"), refused="LERC"),
    "grey PNG of 16 bits": Stored(picture("I;16"), refused="grey levels of 16 bits"),
    "CMYK JPEG": Stored(picture("CMYK", suffix=".jpg"), refused="CMYK"),
}


def written(folder: Path, name: str, pixels: Pixels) -> Path:
    """The field stored in a way of `FORMATS`."""
    folder.mkdir(parents=True, exist_ok=True)
    return FORMATS[name].write(folder / "field.tif", pixels)


@dataclass(frozen=True, slots=True)
class Found:
    """What an analysis found in a stored field.

    centres : float64, shape (N, 2), of figures, (x, y), um from the field's corner, sorted
    """

    centres: NDArray[np.float64]
    tissue_mm2: float

    def distance(self, other: "Found") -> float | None:
        """The largest distance of a figure to the nearest one that the other found, um; None without figures in either."""
        if not len(self.centres) or not len(other.centres):
            return None
        return float(np.hypot(*(self.centres[:, None] - other.centres[None]).T).min(0).max())

    def agrees(self, other: "Found", *, lossy: bool) -> bool:
        """Whether both are the same but for what a codec or resampling loses."""
        if len(self.centres) != len(other.centres):
            return False
        area = abs(self.tissue_mm2 - other.tissue_mm2) <= (AREA_LOSS if lossy else AREA_STEP) * other.tissue_mm2
        return area and (self.distance(other) or 0.0) <= (CENTRE_LOSS_UM if lossy else 0.0)


def found_in(path: Path, stored: Stored, detector: Detector) -> Found:
    """What a detector finds in a stored field; where the file states no resolution, that of the field is given."""
    with open_slide(path) as slide:
        report = score_slide(slide, detector, ScoringOptions(mpp=None if stored.states_mpp else MPP)).report
    centres = [(d.x + d.width / 2 - stored.at[0], d.y + d.height / 2 - stored.at[1]) for d in report.detections]
    placed = np.asarray(sorted(centres), np.float64).reshape(-1, 2) * report.slide.mpp
    return Found(placed, report.counts.tissue_area_mm2)
