"""MetaImage files as ITK writes them."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


def write_metaimage(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    mpp: float,
    compressed: bool = True,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a picture, uint8, shape (h, w, 3). changed : other words of the header; an empty one leaves the line out"""
    height, width = pixels.shape[:2]
    content = pixels.tobytes()
    stated = {
        "ObjectType": "Image",
        "NDims": "2",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed),
        "TransformMatrix": "1 0 0 1",
        "Offset": "0 0",
        "ElementSpacing": f"{mpp / 1000:.8g} {mpp / 1000:.8g}",
        "DimSize": f"{width} {height}",
        "ElementNumberOfChannels": "3",
        "ElementType": "MET_UCHAR",
        **changed,
        "ElementDataFile": changed.get("ElementDataFile", "LOCAL"),
    }
    header = "".join(f"{key} = {value}\n" for key, value in stated.items() if value)
    path.write_bytes(header.encode() + (zlib.compress(content) if compressed else content))
    return path
