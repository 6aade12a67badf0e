"""Files of the command line that state regions: GeoJSON, or a mask picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.core.errors import RequestError
from serving.core.outlines import Outlines, parse_outlines
from serving.scoring.mask_outlines import check_mask_size, trace_mask

MAX_BYTES = 64 * 2**20
_MASKS = (".png", ".tif", ".tiff")
_INCH_UM = 25_400
_COARSEST_UM = 64.0
"""Of a px in a file: 72 to 300 dpi, 85 to 353 um, are what programs write that know nothing of it."""


def read_outlines(path: Path, *, mask_mpp: float | None = None) -> Outlines:
    """The regions that a file states.

    mask_mpp : um per px of a mask picture, in place of what its file states

    Raises
    ------
    MitoserveError, OSError
        If it is neither, or states no region.
    """
    if path.suffix.lower() in _MASKS:
        marked, stated = _read_mask(path)
        return trace_mask(marked, path.stem, mask_mpp or stated)
    if path.suffix.lower() not in (".geojson", ".json"):
        raise RequestError(
            f"{path.name} states no regions: give GeoJSON (.geojson, .json) or a mask picture (.png, .tif)"
        )
    if path.stat().st_size > MAX_BYTES:
        raise RequestError(f"{path.name} has more than {MAX_BYTES} bytes: simplify its regions")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path.name} is no text: give GeoJSON as QuPath exports it") from error
    return parse_outlines(text)


def _read_mask(path: Path) -> tuple[NDArray[np.bool_], float | None]:
    """Where a picture is neither black nor transparent, and its um per px if it is a microscope's."""
    try:
        with Image.open(path, formats=("PNG", "TIFF")) as picture:
            check_mask_size(*picture.size, path.stem)
            density = picture.info.get("dpi")
            coloured = picture.convert("RGBA") if picture.mode in ("LA", "PA", "RGBA") else picture
            values = np.asarray(coloured)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RequestError(
            f"{path.name} is no picture that can be read: give a mask as PNG or TIFF of one page"
        ) from error
    marked = values.any(2) if values.ndim == 3 else values != 0
    if values.ndim == 3 and values.shape[2] == 4:
        marked = values[..., :3].any(2) & (values[..., 3] > 0)
    side = _INCH_UM / float(density[0]) if density and float(density[0]) > 0 else None
    return np.asarray(marked, np.bool_), side if side is not None and side <= _COARSEST_UM else None
