"""CZI files, as "ZISRAW (CZI) file format" describes them, for what Zeiss's own writer does not write on Linux."""

import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
BGR24, GREY8 = 3, 0
RAW, LZW, JPEG_XR = 0, 2, 4
_CODE: dict[int, Callable[[Pixels], bytes]] = {
    RAW: lambda tile: tile.tobytes(),
    LZW: lambda tile: tile.tobytes(),
    # A decoder of JPEG XR gives the order of colours that its header names: it is encoded from RGB.
    JPEG_XR: lambda tile: bytes(imagecodecs.jpegxr_encode(np.ascontiguousarray(tile[..., ::-1]), level=1.0)),
}


def write_czi(
    path: Path,
    pixels: Pixels,
    *,
    mpp: float | None = 0.25,
    side: int = 256,
    compression: int = RAW,
    pixel_type: int = BGR24,
    planes: int = 1,
    scenes: int = 1,
    levels: int = 1,
    overlap: int = 0,
) -> Path:
    """A picture in tiles; further planes of focus, scenes and levels repeat it. overlap : px that later tiles cover."""
    data = bytearray(_segment(b"ZISRAWFILE", b"\0" * 512))
    entries = []
    for scene, plane, level in [(s, z, n) for s in range(scenes) for z in range(planes) for n in range(levels)]:
        shrink = 2**level
        shown = np.ascontiguousarray(pixels[::shrink, ::shrink])
        for y in range(0, shown.shape[0], side):
            for x in range(0, shown.shape[1], side):
                tile = shown[y : y + side + overlap, x : x + side + overlap].copy()
                if overlap:  # what a later tile covers is black
                    tile[side:], tile[:, side:] = 0, 0
                stored = np.ascontiguousarray(tile[..., ::-1] if pixel_type == BGR24 else tile[..., 0])
                place = (x * shrink + scene * 10_000, y * shrink)
                entries.append(
                    _entry(
                        len(data),
                        stored,
                        place=place,
                        shrink=shrink,
                        plane=plane,
                        scene=scene,
                        kind=(pixel_type, compression),
                    )
                )
                data += _sub_block(entries[-1], _CODE[compression](stored))
    metadata = len(data)
    data += _metadata(pixels, mpp)
    directory = len(data)
    body = b"".join(entries)
    data += _segment(b"ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + body)
    ids = bytes(range(16))
    data[32 : 32 + 68] = struct.pack("<4i16s16siqq", 1, 0, 0, 0, ids, ids, 0, directory, metadata)
    path.write_bytes(data)
    return path


def _segment(kind: bytes, content: bytes) -> bytes:
    padded = content + b"\0" * (-len(content) % 32)
    return struct.pack("<16sqq", kind, len(padded), len(content)) + padded


def _entry(
    at: int, tile: Pixels, *, place: tuple[int, int], shrink: int, plane: int, scene: int, kind: tuple[int, int]
) -> bytes:
    """kind : pixel type and compression."""
    height, width = tile.shape[:2]
    axes = [
        (b"X", place[0], width * shrink, width), (b"Y", place[1], height * shrink, height), (b"C", 0, 1, 1),
        (b"Z", plane, 1, 1), (b"S", scene, 1, 1), (b"M", at % 2**31, 1, 1),
    ]  # fmt: skip
    head = struct.pack("<2siqiiB5xi", b"DV", kind[0], at, 0, kind[1], 0 if shrink == 1 else 2, len(axes))
    return head + b"".join(
        struct.pack("<4siifi", name, start, size, float(start), stored) for name, start, size, stored in axes
    )


def _sub_block(entry: bytes, content: bytes) -> bytes:
    fixed = (struct.pack("<iiq", 0, 0, len(content)) + entry).ljust(256, b"\0")
    return _segment(b"ZISRAWSUBBLOCK", fixed + content)


def _metadata(pixels: Pixels, mpp: float | None) -> bytes:
    height, width = pixels.shape[:2]
    scaling = "".join(
        f'<Distance Id="{axis}"><Value>{mpp * 1e-6}</Value></Distance>' for axis in "XY" if mpp is not None
    )
    xml = (
        f"<ImageDocument><Metadata><Information><Image><SizeX>{width}</SizeX><SizeY>{height}</SizeY>"
        "<PixelType>Bgr24</PixelType></Image></Information>"
        f"<Scaling><Items>{scaling}</Items></Scaling></Metadata></ImageDocument>"
    ).encode()
    return _segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(xml), 0) + xml)
