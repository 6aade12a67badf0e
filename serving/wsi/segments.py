"""Tiles and strips of a TIFF, decoded one by one."""

import io
import os
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.wsi.errors import UnreadableSlideError


def read_segment(
    file: io.FileIO,
    page: tifffile.TiffPage,
    index: int,
    tables: bytes | None,
    *,
    name: str,
    kind: Literal["tile", "strip"] = "tile",
) -> NDArray[np.unsignedinteger] | None:
    """The samples of a segment of a page, (height, width, samples); None where the file has none.

    tables : what JPEG segments of the page have in common. name : what errors call the slide

    Raises
    ------
    UnreadableSlideError
        If it does not decode.
    """
    count = int(page.databytecounts[index])
    if not count:
        return None
    data = os.pread(file.fileno(), count, int(page.dataoffsets[index]))
    try:
        decoded, _, _ = page.decode(data, index, jpegtables=tables)
    except MemoryError:
        raise
    except Exception as error:  # every codec has errors of its own
        raise UnreadableSlideError(
            f"{name} has a damaged {kind} (number {index} of {len(page.dataoffsets)}); copy it again from the scanner"
        ) from error
    return None if decoded is None else np.asarray(decoded[0])
