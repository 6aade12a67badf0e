"""One field of tissue in every way in which files store it, whether it is to be read or to be refused by name."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from serving.scoring.detector import Detector
from serving.scoring.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.wsi.slide import open_slide
from tests.dicom import write_dicom_slide
from tests.samples import write_dicom, write_leica

MPP = 0.25
TILE = 256
AREA_LOSS, AREA_STEP, CENTRE_LOSS_UM = 0.03, 0.01, 1.0
"""Share of the tissue by which codecs and resampling change its outline; the same where the mask alone lies otherwise on the
slide; and how far a figure moves."""
SCN_AT = 300, 200
"""Where the scanned part of the SCN slide begins, level-0 px."""
_CM_UM = 10_000

Pixels = NDArray[np.uint8]


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


def scaled(pixels: Pixels, scale: tuple[float, float]) -> Pixels:
    """The field with `scale` px for each of its own along x and y."""
    size = round(pixels.shape[1] * scale[0]), round(pixels.shape[0] * scale[1])
    kind = Image.Resampling.BOX if max(scale) <= 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize(size, kind))


def tiff(
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    convert: Callable[[Pixels], NDArray[Any]] | None = None,
    stated: bool = True,
    writer: dict[str, Any] | None = None,
    **options: Any,
) -> Callable[[Path, Pixels], Path]:
    """A writer of a tiled TIFF; convert : from RGB to what is stored; writer, options : of tifffile."""

    def write(path: Path, pixels: Pixels) -> Path:
        stored = scaled(pixels, scale) if scale != (1.0, 1.0) else pixels
        resolution: dict[str, Any] = {}
        if stated:
            per_cm = tuple(_CM_UM * s / MPP for s in scale)
            resolution = {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
        whole = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None, **resolution, **options}
        with tifffile.TiffWriter(path, **(writer or {})) as file:
            file.write(stored if convert is None else convert(stored), **whole)
        return path

    return write


def ome(axes: str, **metadata: Any) -> Callable[[Path, Pixels], Path]:
    """A writer of an OME-TIFF whose resolution is in its XML alone."""

    def write(path: Path, pixels: Pixels) -> Path:
        stored = pixels if axes == "YXS" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        about = {"PhysicalSizeX": MPP, "PhysicalSizeY": MPP, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
        kind = "rgb" if "S" in axes else "minisblack"
        with tifffile.TiffWriter(path, ome=True, bigtiff=True) as file:
            file.write(
                stored,
                tile=(TILE, TILE),
                photometric=kind,
                compression="deflate",
                metadata={"axes": axes, **about, **metadata},
            )
        return path

    return write


def ome_with_pyramid(path: Path, pixels: Pixels) -> Path:
    """An OME-TIFF as Bio-Formats and QuPath write it: smaller sizes in subordinate pages, JPEG tiles, and a macro image."""
    about = {"axes": "YXS", "PhysicalSizeX": MPP * 1000, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": MPP * 1000}
    about["PhysicalSizeYUnit"] = "nm"
    common: dict[str, Any] = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels[:100, :300], metadata={"axes": "YXS", "Name": "macro"}, **common)
        file.write(pixels, subifds=1, metadata=about, **common)
        file.write(scaled(pixels, (0.5, 0.5)), subfiletype=1, **common)
    return path


def aperio_jpeg2000(compression: int) -> Callable[[Path, Pixels], Path]:
    """A writer of a slide with Aperio's JPEG 2000: 33003 holds YCbCr, 33005 RGB."""

    def write(path: Path, pixels: Pixels) -> Path:
        rows, columns = (-(-side // TILE) for side in pixels.shape[:2])
        padded = np.pad(
            pixels, ((0, rows * TILE - pixels.shape[0]), (0, columns * TILE - pixels.shape[1]), (0, 0)), mode="edge"
        )
        stored = ycbcr(padded) if compression == 33003 else padded
        tiles = [
            stored[y : y + TILE, x : x + TILE]
            for y in range(0, rows * TILE, TILE)
            for x in range(0, columns * TILE, TILE)
        ]
        coded = [
            imagecodecs.jpeg2k_encode(np.ascontiguousarray(t), codecformat="j2k", mct=False, level=0) for t in tiles
        ]
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            file.write(
                iter(coded), shape=pixels.shape, dtype=np.uint8, tile=(TILE, TILE), photometric="rgb", compression=compression,
                description=f"Aperio Image Library v1\r\n{pixels.shape[1]}x{pixels.shape[0]}|MPP = {MPP}|AppMag = 40",
                metadata=None, software=False,
            )  # fmt: skip
        return path

    return write


def ycbcr(pixels: Pixels) -> Pixels:
    """ITU-R BT.601 at full range, as JFIF has it."""
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


def picture(
    mode: str, *, scale: tuple[float, float] = (1.0, 1.0), suffix: str = ".png"
) -> Callable[[Path, Pixels], Path]:
    """A writer of a picture in one of Pillow's modes."""

    def write(path: Path, pixels: Pixels) -> Path:
        image = Image.fromarray(scaled(pixels, scale) if scale != (1.0, 1.0) else pixels)
        image = (
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
            if mode == "I;16"
            else image.convert(mode)
        )
        path = path.with_suffix(suffix)
        if suffix == ".jpg":  # its density tag has 16 bits: 0.39 um/px at least
            image.save(path, quality=95)
        else:
            image.save(path, dpi=tuple(25_400 * s / MPP for s in scale))
        return path

    return write


def png_of_16_bits(path: Path, pixels: Pixels) -> Path:
    """A PNG of 16-bit RGB, which Pillow does not write."""
    data = bytearray(imagecodecs.png_encode(pixels.astype(np.uint16) * 257))
    per_m = round(1e6 / MPP)
    density = b"pHYs" + per_m.to_bytes(4, "big") * 2 + b"\1"
    chunk = (9).to_bytes(4, "big") + density + zlib.crc32(density).to_bytes(4, "big")
    data[33:33] = chunk  # behind the header
    path.with_suffix(".png").write_bytes(data)
    return path.with_suffix(".png")


def scn(path: Path, pixels: Pixels) -> Path:
    """A slide of Leica's layout whose scanned part begins at `SCN_AT`."""
    size = pixels.shape[1] + 700, pixels.shape[0] + 500
    return write_leica(path.with_suffix(".scn"), pixels, size=size, at=SCN_AT, mpp=MPP)


def dicom(path: Path, pixels: Pixels) -> Path:
    """A DICOM slide, uncompressed, in a folder."""
    return write_dicom_slide(path.with_suffix(""), pixels, mpp=MPP)


def dicom_oblong(path: Path, pixels: Pixels) -> Path:
    """A DICOM slide whose pixels are twice as high as wide."""
    folder = write_dicom_slide(path.with_suffix(""), scaled(pixels, (1, 0.5)), mpp=MPP)
    file = next(folder.glob("*.dcm"))
    stored = pydicom.dcmread(file)
    spacing = [2 * MPP / 1000, MPP / 1000]  # of rows, then of columns
    stored.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = spacing
    stored.save_as(file)
    return folder


def dicom_jpeg(path: Path, pixels: Pixels) -> Path:
    """A DICOM slide of JPEG tiles in one file."""
    return write_dicom(path.with_suffix(".dcm"), pixels, mpp=MPP)


def dicom_grey(kind: str, *, bits: int = 8, jpeg: bool = False) -> Callable[[Path, Pixels], Path]:
    """A writer of a DICOM slide of grey levels; kind : MONOCHROME1, where white is 0, or MONOCHROME2."""

    def write(path: Path, pixels: Pixels) -> Path:
        folder = write_dicom_slide(path.with_suffix(""), pixels, mpp=MPP)
        file = next(folder.glob("*.dcm"))
        stored = pydicom.dcmread(file)
        colours = np.frombuffer(stored.PixelData, np.uint8).reshape(-1, stored.Rows, stored.Columns, 3)
        frames = [255 - _grey(frame) if kind == "MONOCHROME1" else _grey(frame) for frame in colours]
        stored.SamplesPerPixel, stored.PhotometricInterpretation = 1, kind
        stored.BitsAllocated, stored.BitsStored, stored.HighBit = bits, bits, bits - 1
        del stored.PlanarConfiguration
        if jpeg:
            stored.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
            stored.PixelData = encapsulate([imagecodecs.jpeg8_encode(frame) for frame in frames])
            stored["PixelData"].is_undefined_length = True
        else:
            whole = np.stack(frames)
            stored.PixelData = (whole if bits == 8 else whole.astype("<u2") * 257).tobytes()
        stored.save_as(file)
        return folder

    return write


def _with_alpha(kind: float) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], kind, np.uint8)])


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _wide(factor: int) -> Callable[[Pixels], NDArray[np.uint16]]:
    return lambda pixels: (pixels.astype(np.uint32) * factor).astype(np.uint16)


def _planes(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


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
    "planar TIFF": Stored(tiff(compression="deflate", convert=_planes, planarconfig="separate")),
    "16-bit TIFF": Stored(tiff(compression="deflate", convert=_wide(257))),
    "16-bit big-endian TIFF": Stored(tiff(compression="lzw", convert=_wide(257), writer={"byteorder": ">"})),
    "12 bits in 16, stated": Stored(
        tiff(
            compression="deflate",
            convert=lambda p: np.rint(p * _12_BITS).astype(np.uint16),
            extratags=[(281, 3, 3, (4095, 4095, 4095), True)],
        )
    ),
    "opaque RGBA TIFF": Stored(tiff(compression="deflate", convert=_with_alpha(255), extrasamples=["unassalpha"])),
    "a fourth sample of no stated kind": Stored(
        tiff(compression="deflate", convert=_with_alpha(3), extrasamples=["unspecified"])
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
        tiff(compression="deflate", convert=_grey, photometric="minisblack"), refused="1 grey channel of 8 bits"
    ),
    "16-bit grey TIFF": Stored(
        tiff(compression="deflate", convert=lambda p: _grey(p).astype(np.uint16) * 257, photometric="minisblack"),
        refused="1 grey channel of 16 bits",
    ),
    "inverted grey TIFF": Stored(
        tiff(compression="deflate", convert=lambda p: 255 - _grey(p), photometric="miniswhite"), refused="MINISWHITE"
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
