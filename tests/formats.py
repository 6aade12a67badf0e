"""One field of tissue in every way in which files store it, whether it is to be read or to be refused by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc, Zlib
from numpy.typing import NDArray
from PIL import Image
from zarr.codecs import BloscCodec, GzipCodec

from serving.core.options import ScoringOptions
from serving.scoring.detector import AnyDetector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.czi import GREY8, JPEG_XR
from tests.field_files import (
    MPP,
    SCN_AT,
    Pixels,
    aperio_jpeg2000,
    czi,
    dicom,
    dicom_grey,
    dicom_jpeg,
    dicom_jpeg2000,
    dicom_oblong,
    grey,
    ome,
    ome_in_strips,
    ome_with_pyramid,
    ome_zarr,
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
class StoredPicture:
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

FORMATS: dict[str, StoredPicture] = {
    "deflate TIFF": StoredPicture(tiff(compression="deflate")),
    "LZW TIFF": StoredPicture(tiff(compression="lzw", predictor=True)),
    "uncompressed TIFF": StoredPicture(tiff()),
    "zstd TIFF": StoredPicture(tiff(compression="zstd")),
    "WebP TIFF": StoredPicture(tiff(compression="webp", compressionargs={"lossless": True})),
    "JPEG XL TIFF": StoredPicture(tiff(compression="jpegxl", compressionargs={"lossless": True})),
    "JPEG TIFF, YCbCr": StoredPicture(tiff(**_JPEG), lossy=True),
    "JPEG TIFF, RGB": StoredPicture(
        tiff(compression="jpeg", compressionargs={"level": 95, "outcolorspace": "rgb"}), lossy=True
    ),
    "JPEG 2000 TIFF (34712)": StoredPicture(tiff(compression="jpeg2000")),
    "Aperio JPEG 2000 (33003)": StoredPicture(aperio_jpeg2000(33003), lossy=True),
    "Aperio JPEG 2000 (33005)": StoredPicture(aperio_jpeg2000(33005)),
    "JPEG 2000 TIFF of YCbCr (33003), unsigned": StoredPicture(
        tiff(compression=33003, convert=ycbcr, compressionargs={"level": 0}), lossy=True
    ),
    "OME-TIFF": StoredPicture(ome("YXS")),
    "OME-TIFF, planar": StoredPicture(ome("SYX")),
    "OME-TIFF, pages named red, green, blue": StoredPicture(ome("CYX", Channel={"Name": ["Red", "Green", "Blue"]})),
    "OME-TIFF, pyramid and macro": StoredPicture(ome_with_pyramid, lossy=True),
    "OME-TIFF in strips": StoredPicture(ome_in_strips),
    "OME-Zarr 0.4, blosc": StoredPicture(ome_zarr(version="0.4", axes="tczyx", compressors=Blosc())),
    "OME-Zarr 0.4, zlib": StoredPicture(ome_zarr(version="0.4", axes="yxc", compressors=Zlib())),
    "OME-Zarr 0.5, zstd": StoredPicture(ome_zarr()),
    "OME-Zarr 0.5, gzip": StoredPicture(ome_zarr(axes="yxc", compressors=GzipCodec())),
    "OME-Zarr 0.5, blosc, shards": StoredPicture(ome_zarr(compressors=BloscCodec(), side=128, shard=512)),
    "CZI, uncompressed": StoredPicture(czi()),
    "CZI, JPEG XR, pyramid": StoredPicture(czi(compression=JPEG_XR, levels=2), lossy=True),
    "big-endian TIFF": StoredPicture(tiff(compression="deflate", writer={"byteorder": ">"})),
    "big-endian TIFF, JPEG": StoredPicture(tiff(writer={"byteorder": ">"}, **_JPEG), lossy=True),
    "big-endian BigTIFF": StoredPicture(tiff(compression="deflate", writer={"byteorder": ">", "bigtiff": True})),
    "planar TIFF": StoredPicture(tiff(compression="deflate", convert=planes, planarconfig="separate")),
    "16-bit TIFF": StoredPicture(tiff(compression="deflate", convert=wide(257))),
    "16-bit big-endian TIFF": StoredPicture(tiff(compression="lzw", convert=wide(257), writer={"byteorder": ">"})),
    "12 bits in 16, stated": StoredPicture(
        tiff(
            compression="deflate",
            convert=lambda p: np.rint(p * _12_BITS).astype(np.uint16),
            extratags=[(281, 3, 3, (4095, 4095, 4095), True)],
        )
    ),
    "opaque RGBA TIFF": StoredPicture(
        tiff(compression="deflate", convert=with_alpha(255), extrasamples=["unassalpha"])
    ),
    "a fourth sample of no stated kind": StoredPicture(
        tiff(compression="deflate", convert=with_alpha(3), extrasamples=["unspecified"])
    ),
    "pixels of 0.25 x 0.5 um": StoredPicture(tiff(compression="deflate", scale=(1, 0.5)), scale=(1, 0.5), lossy=True),
    "pixels of 0.5 x 0.25 um, big-endian": StoredPicture(
        tiff(compression="deflate", scale=(0.5, 1), writer={"byteorder": ">"}), scale=(0.5, 1), lossy=True
    ),
    "20x": StoredPicture(tiff(compression="deflate", scale=(0.5, 0.5)), scale=(0.5, 0.5), lossy=True),
    "80x": StoredPicture(tiff(compression="deflate", scale=(2, 2)), scale=(2, 2), lossy=True),
    "PNG": StoredPicture(picture("RGB")),
    "PNG, RGBA": StoredPicture(picture("RGBA")),
    "PNG of 16 bits": StoredPicture(png_of_16_bits),
    "PNG, pixels of 0.25 x 0.5 um": StoredPicture(picture("RGB", scale=(1, 0.5)), scale=(1, 0.5), lossy=True),
    "JPEG": StoredPicture(picture("RGB", suffix=".jpg"), states_mpp=False, lossy=True),
    "DICOM": StoredPicture(dicom),
    "DICOM, pixels of 0.25 x 0.5 um": StoredPicture(dicom_oblong, scale=(1, 0.5), lossy=True),
    "DICOM, JPEG": StoredPicture(dicom_jpeg, lossy=True),
    "DICOM, JPEG 2000": StoredPicture(dicom_jpeg2000()),
    "DICOM, JPEG 2000, YBR_RCT": StoredPicture(dicom_jpeg2000("YBR_RCT", offsets=False)),
    "DICOM, JPEG 2000, YBR_ICT": StoredPicture(dicom_jpeg2000("YBR_ICT"), lossy=True),
    "DICOM, grey": StoredPicture(dicom_grey("MONOCHROME2"), refused="1 sample of 8 bits (MONOCHROME2)"),
    "DICOM, inverted grey": StoredPicture(dicom_grey("MONOCHROME1"), refused="1 sample of 8 bits (MONOCHROME1)"),
    "DICOM, 16-bit grey": StoredPicture(
        dicom_grey("MONOCHROME2", bits=16), refused="1 sample of 16 bits (MONOCHROME2)"
    ),
    "DICOM, JPEG of grey": StoredPicture(
        dicom_grey("MONOCHROME2", jpeg=True), refused="1 sample of 8 bits (MONOCHROME2)"
    ),
    "SCN with bounds": StoredPicture(scn, at=SCN_AT, lossy=True),
    "grey TIFF": StoredPicture(
        tiff(compression="deflate", convert=grey, photometric="minisblack"), refused="1 grey channel of 8 bits"
    ),
    "16-bit grey TIFF": StoredPicture(
        tiff(compression="deflate", convert=lambda p: grey(p).astype(np.uint16) * 257, photometric="minisblack"),
        refused="1 grey channel of 16 bits",
    ),
    "inverted grey TIFF": StoredPicture(
        tiff(compression="deflate", convert=lambda p: 255 - grey(p), photometric="miniswhite"), refused="MINISWHITE"
    ),
    "CMYK TIFF": StoredPicture(
        tiff(
            compression="deflate",
            convert=lambda p: np.asarray(Image.fromarray(p).convert("CMYK")),
            photometric="separated",
        ),
        refused="SEPARATED",
    ),
    "CIELab TIFF": StoredPicture(
        tiff(
            compression="deflate",
            convert=lambda p: np.asarray(Image.fromarray(p).convert("YCbCr")),
            photometric="cielab",
        ),
        refused="CIELAB",
    ),
    "12 bits in 16, not stated": StoredPicture(
        tiff(compression="deflate", convert=lambda p: np.rint(p * _12_BITS).astype(np.uint16)),
        refused="none seen is above",
    ),
    "32-bit float TIFF": StoredPicture(
        tiff(compression="deflate", convert=lambda p: p.astype(np.float32) / 255), refused="no unsigned integers"
    ),
    "five samples a pixel": StoredPicture(
        tiff(compression="deflate", convert=lambda p: np.dstack([p, p[..., :2]]), extrasamples=["unspecified"] * 2),
        refused="5 samples",
    ),
    "OME-TIFF, three unnamed channels": StoredPicture(ome("CYX"), refused="3 channels"),
    "OME-TIFF, fluorescence": StoredPicture(
        ome("CYX", Channel={"Name": ["DAPI", "FITC", "Cy5"]}), refused="DAPI, FITC, Cy5"
    ),
    "mirrored TIFF": StoredPicture(
        tiff(compression="deflate", extratags=[(274, 3, 1, 2, True)]), refused="Orientation 2"
    ),
    "turned big-endian TIFF, JPEG": StoredPicture(
        tiff(extratags=[(274, 3, 1, 6, True)], writer={"byteorder": ">"}, **_JPEG), refused="Orientation 6"
    ),
    "TIFF in strips": StoredPicture(tiff(compression="deflate", tile=None), refused="strips and not in tiles"),
    "JPEG 2000 TIFF of YCbCr (34712)": StoredPicture(
        tiff(photometric="ycbcr", compression="jpeg2000", convert=ycbcr),
        refused="YCBCR pixels compressed with JPEG2000",
    ),
    "CZI, grey": StoredPicture(czi(pixel_type=GREY8), refused="holds grey of 8 bits"),
    "CZI, focal planes": StoredPicture(czi(planes=2), refused="several focal planes"),
    "OME-Zarr, unnamed channels": StoredPicture(ome_zarr(colours=None), refused="channels (unnamed)"),
    "OME-Zarr, 16 bits": StoredPicture(ome_zarr(convert=wide(257)), refused="samples of uint16"),
    "LERC TIFF": StoredPicture(tiff(compression="lerc"), refused="LERC"),
    "grey PNG of 16 bits": StoredPicture(picture("I;16"), refused="grey levels of 16 bits"),
    "CMYK JPEG": StoredPicture(picture("CMYK", suffix=".jpg"), refused="CMYK"),
}


def write(folder: Path, name: str, pixels: Pixels) -> Path:
    """The field stored in a way of `FORMATS`."""
    folder.mkdir(parents=True, exist_ok=True)
    return FORMATS[name].write(folder / "field.tif", pixels)


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """What an analysis found in a stored field.

    centres : float64, shape (N, 2), of figures, (x, y), um from the field's corner, sorted
    """

    centres: NDArray[np.float64]
    tissue_mm2: float

    def distance(self, other: "DecodedPicture") -> float | None:
        """The largest distance of a figure to the nearest one that the other found, um; None without figures in either."""
        if not len(self.centres) or not len(other.centres):
            return None
        return float(np.hypot(*(self.centres[:, None] - other.centres[None]).T).min(0).max())

    def agrees(self, other: "DecodedPicture", *, lossy: bool) -> bool:
        """Whether both are the same but for what a codec or resampling loses."""
        if len(self.centres) != len(other.centres):
            return False
        area = abs(self.tissue_mm2 - other.tissue_mm2) <= (AREA_LOSS if lossy else AREA_STEP) * other.tissue_mm2
        return area and (self.distance(other) or 0.0) <= (CENTRE_LOSS_UM if lossy else 0.0)


def find_in(path: Path, stored: StoredPicture, detector: AnyDetector) -> DecodedPicture:
    """What a detector finds in a stored field; where the file states no resolution, that of the field is given."""
    with open_slide(path) as slide:
        report = score_slide(slide, detector, ScoringOptions(mpp=None if stored.states_mpp else MPP)).report
    centres = [(d.x + d.width / 2 - stored.at[0], d.y + d.height / 2 - stored.at[1]) for d in report.detections]
    placed = np.asarray(sorted(centres), np.float64).reshape(-1, 2) * report.slide.mpp
    return DecodedPicture(placed, report.counts.tissue_area_mm2)
