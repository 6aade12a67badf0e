"""Small seeded slide files, whole and broken, written to a folder."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

_CM_UM = 10_000
_INCH_UM = 25_400
_TAG_SHORT, _TAG_LONG = 3, 4


def noise(width: int, height: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth pink-violet noise that JPEG keeps well, uint8, shape (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 60, (height // 16 + 2, width // 16 + 2, 3)) + np.asarray([170, 110, 160])
    image = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def write_pyramid(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    mpp: float | None = 0.25,
    compression: str | None = "deflate",
    levels: int = 2,
    tile: int = 256,
    **options: Any,
) -> Path:
    """A pyramidal tiled TIFF, each level half the one before, that OpenSlide opens as generic-tiff.

    options : of tifffile, for each level
    """
    resolution: dict[str, Any] = {}
    with tifffile.TiffWriter(path) as tiff:
        for level in range(levels):
            step = 2**level
            if mpp is not None:
                per_cm = _CM_UM / (mpp * step)
                resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            tiff.write(
                _halve(pixels, level),
                tile=(tile, tile),
                photometric="rgb",
                compression=compression,
                subfiletype=1 if level else 0,
                metadata=None,
                **resolution,
                **options,
            )
    return path


def write_leica(
    path: Path, pixels: NDArray[np.uint8], *, size: tuple[int, int], at: tuple[int, int], mpp: float = 0.25
) -> Path:
    """A slide of Leica's layout (SCN 2010/10/01): `pixels` are what was scanned, at (x, y) of a slide of `size` (width, height) px."""
    nm, (height, width) = round(mpp * 1000), pixels.shape[:2]
    across = [
        f'{name}="{px * nm}"'
        for name, px in zip(("sizeX", "sizeY", "offsetX", "offsetY"), (width, height, *at), strict=True)
    ]
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" sizeX="{size[0] * nm}" sizeY="{size[1] * nm}"><barcode/><image name="i"><device model="m"/>'
        f'<pixels><dimension sizeX="{width}" sizeY="{height}" r="0" ifd="0"/></pixels><view {" ".join(across)}/><scanSettings>'
        "<objectiveSettings><objective>40</objective></objectiveSettings><illuminationSettings>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings>"
        "<creationDate>2020-01-01T00:00:00Z</creationDate></image></collection></scn>"
    )
    per_cm = _CM_UM / mpp
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            pixels,
            tile=(256, 256),
            photometric="rgb",
            compression="jpeg",
            compressionargs={"level": 95},
            metadata=None,
            description=xml,
            software=False,
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
    return path


def write_mrxs(
    path: Path, pixels: NDArray[np.uint8], *, mpp: float = 0.25, index: str = "Index.dat", data: str = "Data0000.dat"
) -> Path:
    """An MIRAX slide of one picture (src/openslide-vendor-mirax.c): the .mrxs file and its folder beside it.

    index, data : the names that `Slidedat.ini` states; the files themselves are Index.dat and Data0000.dat
    """
    folder, slide_id = path.with_suffix(""), "0123456789ABCDEF"
    folder.mkdir(exist_ok=True)
    (height, width), picture = pixels.shape[:2], _jpeg(pixels)
    groups: dict[str, dict[str, object]] = {
        "GENERAL": {"SLIDE_VERSION": "01.02", "SLIDE_ID": slide_id, "IMAGENUMBER_X": 1, "IMAGENUMBER_Y": 1}
        | {"OBJECTIVE_MAGNIFICATION": 40, "CameraImageDivisionsPerSide": 1},
        "HIERARCHICAL": {"HIER_COUNT": 1, "NONHIER_COUNT": 0, "INDEXFILE": index, "HIER_0_NAME": "Slide zoom level"}
        | {"HIER_0_COUNT": 1, "HIER_0_VAL_0_SECTION": "LAYER_0_LEVEL_0_SECTION"},
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": data},
        "LAYER_0_LEVEL_0_SECTION": {"OVERLAP_X": 0, "OVERLAP_Y": 0, "IMAGE_FORMAT": "JPEG", "IMAGE_CONCAT_FACTOR": 0}
        | {"MICROMETER_PER_PIXEL_X": mpp, "MICROMETER_PER_PIXEL_Y": mpp, "IMAGE_FILL_COLOR_BGR": 16777215}
        | {"DIGITIZER_WIDTH": width, "DIGITIZER_HEIGHT": height},
    }
    lines = [
        line for group, keys in groups.items() for line in (f"[{group}]", *(f"{key} = {keys[key]}" for key in keys))
    ]
    (folder / "Slidedat.ini").write_text("\n".join(lines) + "\n")
    (folder / "Data0000.dat").write_bytes(picture)
    head = b"01.02" + slide_id.encode()
    table = len(head) + 8  # one pointer for each level, to a list of pages: zero, and where the first page lies
    page = table + 12
    body = struct.pack("<7i", table, 0, table + 4, 0, page, 1, 0) + struct.pack("<4i", 0, 0, len(picture), 0)
    (folder / "Index.dat").write_bytes(head + body)
    path.write_bytes(b"\xff\xd8\xff" + bytes(200))
    return path


def write_picture(path: Path, pixels: NDArray[np.uint8], *, mpp: float | None = None) -> Path:
    """A PNG or JPEG by the suffix, shape (h, w, 3) or (h, w, 4); with `mpp` in its density tag."""
    density: dict[str, Any] = {} if mpp is None else {"dpi": (_INCH_UM / mpp, _INCH_UM / mpp)}
    Image.fromarray(pixels).save(path, **density)
    return path


def write_dicom(path: Path, pixels: NDArray[np.uint8], *, mpp: float = 0.25, tile: int = 256) -> Path:
    """A DICOM slide of one level, JPEG tiles in one file (PS3.3 A.32.8, TILED_FULL); the UIDs are the same every time."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    frames = [_jpeg(padded[y : y + tile, x : x + tile]) for y in range(0, height, tile) for x in range(0, width, tile)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["instance"])
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    slide = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    slide.SOPClassUID, slide.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    slide.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    slide.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    slide.Rows = slide.Columns = tile
    slide.TotalPixelMatrixColumns, slide.TotalPixelMatrixRows = width, height
    slide.NumberOfFrames, slide.DimensionOrganizationType = len(frames), "TILED_FULL"
    slide.SamplesPerPixel, slide.PlanarConfiguration, slide.PhotometricInterpretation = 3, 0, "YBR_FULL_422"
    slide.BitsAllocated, slide.BitsStored, slide.HighBit, slide.PixelRepresentation = 8, 8, 7, 0
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared.PixelMeasuresSequence = [measures]
    slide.SharedFunctionalGroupsSequence = [shared]
    slide.PixelData = encapsulate(frames)
    slide["PixelData"].is_undefined_length = True
    slide.save_as(path, enforce_file_format=True)
    return path


def write_truncated(path: Path, whole: Path, *, share: float = 0.6) -> Path:
    """The first part of a file."""
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_tiff_header(path: Path, *, width: int, height: int, tile: int = 256) -> Path:
    """A TIFF directory that states an RGB picture and lists no data."""
    entries = [(256, _TAG_LONG, width), (257, _TAG_LONG, height), (258, _TAG_SHORT, 8), (259, _TAG_SHORT, 1)]
    entries += [(262, _TAG_SHORT, 2), (277, _TAG_SHORT, 3), (322, _TAG_LONG, tile), (323, _TAG_LONG, tile)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0))
    return path


def write_forged_tile(path: Path, pixels: NDArray[np.uint8], *, tile: int) -> Path:
    """A whole pyramid whose first directory states stored tiles of `tile` px squared."""
    write_pyramid(path, pixels, levels=1)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileWidth", "TileLength"):
            tag = tiff.pages.first.tags[name]
            tag.overwrite(tile, dtype="I")
    return path


def _halve(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    step = 2**times
    height, width = (max(n // step, 1) for n in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()
