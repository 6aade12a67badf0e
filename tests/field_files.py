"""Writers of one field of tissue in the ways in which files store it."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit

from tests.czi import write_czi
from tests.dicom import write_dicom_slide
from tests.omezarr import write_ome_zarr
from tests.samples import write_dicom, write_leica

MPP = 0.25
TILE = 256
SCN_AT = 300, 200
"""Where the scanned part of the SCN slide begins, level-0 px."""
_CM_UM = 10_000

Pixels = NDArray[np.uint8]


def scale_pixels(pixels: Pixels, scale: tuple[float, float]) -> Pixels:
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
        stored = scale_pixels(pixels, scale) if scale != (1.0, 1.0) else pixels
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
        file.write(scale_pixels(pixels, (0.5, 0.5)), subfiletype=1, **common)
    return path


def ome_in_strips(path: Path, pixels: Pixels) -> Path:
    """An OME-TIFF in strips of 64 rows, as ImageJ and Bio-Formats write it where nobody asks for tiles."""
    about = {"axes": "YXS", "PhysicalSizeX": MPP, "PhysicalSizeY": MPP, "PhysicalSizeXUnit": "µm"}
    about["PhysicalSizeYUnit"] = "µm"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, rowsperstrip=64, photometric="rgb", compression="lzw", metadata=about)
    return path


def ome_zarr(*, convert: Callable[[Pixels], NDArray[Any]] | None = None, **how: Any) -> Callable[[Path, Pixels], Path]:
    """A writer of an OME-Zarr; how : of `write_ome_zarr`."""

    def write(path: Path, pixels: Pixels) -> Path:
        stored = pixels if convert is None else convert(pixels)
        return write_ome_zarr(path.with_suffix(".ome.zarr"), stored, mpp=MPP, **how)

    return write


def czi(**how: Any) -> Callable[[Path, Pixels], Path]:
    """A writer of a CZI; how : of `write_czi`."""

    def write(path: Path, pixels: Pixels) -> Path:
        return write_czi(path.with_suffix(".czi"), pixels, mpp=MPP, **how)

    return write


def aperio_jpeg2000(compression: int, **how: Any) -> Callable[[Path, Pixels], Path]:
    """A writer of a slide with Aperio's JPEG 2000: 33003 holds YCbCr, 33005 RGB. how : of each codestream; lossless by default."""
    how = {"mct": False, "level": 0, **how}

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
        coded = [imagecodecs.jpeg2k_encode(np.ascontiguousarray(t), codecformat="j2k", **how) for t in tiles]
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
        image = Image.fromarray(scale_pixels(pixels, scale) if scale != (1.0, 1.0) else pixels)
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
    folder = write_dicom_slide(path.with_suffix(""), scale_pixels(pixels, (1, 0.5)), mpp=MPP)
    file = next(folder.glob("*.dcm"))
    stored = pydicom.dcmread(file)
    spacing = [2 * MPP / 1000, MPP / 1000]  # of rows, then of columns
    stored.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = spacing
    stored.save_as(file)
    return folder


def dicom_jpeg(path: Path, pixels: Pixels) -> Path:
    """A DICOM slide of JPEG tiles in one file."""
    return write_dicom(path.with_suffix(".dcm"), pixels, mpp=MPP)


def dicom_jpeg2000(
    colours: str = "RGB", *, offsets: bool = True, transformed: bool | None = None
) -> Callable[[Path, Pixels], Path]:
    """A writer of a DICOM slide of JPEG 2000.

    colours : RGB, YBR_RCT or YBR_ICT; offsets : whether a table says where tiles begin; transformed : whether tiles hold what `colours`
    says, None: so
    """
    transform = colours != "RGB" if transformed is None else transformed
    lossy = colours == "YBR_ICT"

    def write(path: Path, pixels: Pixels) -> Path:
        folder = write_dicom_slide(path.with_suffix(""), pixels, mpp=MPP)
        file = next(folder.glob("*.dcm"))
        stored = pydicom.dcmread(file)
        tiles = np.frombuffer(stored.PixelData, np.uint8).reshape(-1, stored.Rows, stored.Columns, 3)
        how: dict[str, Any] = {"level": 50, "reversible": False} if lossy else {"level": 0}
        coded = [imagecodecs.jpeg2k_encode(tile, codecformat="j2k", mct=transform, **how) for tile in tiles]
        stored.file_meta.TransferSyntaxUID = JPEG2000 if lossy else JPEG2000Lossless
        stored.PhotometricInterpretation = colours
        stored.PixelData = encapsulate(coded, has_bot=offsets)
        stored["PixelData"].is_undefined_length = True
        stored.save_as(file)
        return folder

    return write


def dicom_grey(kind: str, *, bits: int = 8, jpeg: bool = False) -> Callable[[Path, Pixels], Path]:
    """A writer of a DICOM slide of grey levels; kind : MONOCHROME1, where white is 0, or MONOCHROME2."""

    def write(path: Path, pixels: Pixels) -> Path:
        folder = write_dicom_slide(path.with_suffix(""), pixels, mpp=MPP)
        file = next(folder.glob("*.dcm"))
        stored = pydicom.dcmread(file)
        colours = np.frombuffer(stored.PixelData, np.uint8).reshape(-1, stored.Rows, stored.Columns, 3)
        frames = [255 - grey(frame) if kind == "MONOCHROME1" else grey(frame) for frame in colours]
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


def with_alpha(kind: float) -> Callable[[Pixels], Pixels]:
    """The field with a fourth sample of one value."""
    return lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], kind, np.uint8)])


def grey(pixels: Pixels) -> Pixels:
    """The field in grey levels."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def wide(factor: int) -> Callable[[Pixels], NDArray[np.uint16]]:
    """The field in 16 bits, each value times a factor."""
    return lambda pixels: (pixels.astype(np.uint32) * factor).astype(np.uint16)


def planes(pixels: Pixels) -> Pixels:
    """The field with its samples apart, (3, height, width)."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
