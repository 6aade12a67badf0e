"""Two slides of one shape, a square of tissue on glass: one drawn, one cut from a scan."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers.lattice import RIM_PX, Square
from serving.core.geometry import Region
from serving.slides.opening import open_slide
from serving.synthetic.field import SyntheticTissue

Pixels = NDArray[np.uint8]

MPP = 0.25
_GLASS = 246
_STORED_PX, _QUALITY, _SHRINK = 256, 90, 4
_PX_PER_CM = 10_000 / MPP
REAL = "icpr2012-dev.tif"


def write_slides(folder: Path, data: Path, square: Square) -> dict[str, Path]:
    """The drawn slide and, where `data` holds the scan, the real one, each alone in a folder of its own, by name.

    The scan states 0.2456 um/px, and the cut 0.25: the same pixels, which no tool then resamples.
    """
    side = square.last - square.first - 2 * RIM_PX
    blocks = {"generated": SyntheticTissue(1, 30.0, 30.0).draw(Region(0, 0, side, side))}
    scan = data / "slides" / REAL
    if scan.is_file():
        blocks["real"] = _middle(scan, side)
    return {name: _write(folder / name / f"{name}.tif", block, square) for name, block in blocks.items()}


def _middle(scan: Path, side: int) -> Pixels:
    with open_slide(scan) as slide:
        region = Region((slide.width - side) // 2, (slide.height - side) // 2, side, side)
        return slide.read(region, side, side)


def _write(path: Path, block: Pixels, square: Square) -> Path:
    """A tiled JPEG TIFF of two levels that states its resolution."""
    slide = np.full((square.slide_px, square.slide_px, 3), _GLASS, np.uint8)
    start = square.first + RIM_PX
    slide[start : start + len(block), start : start + len(block)] = block
    path.parent.mkdir(parents=True)
    with tifffile.TiffWriter(path) as tiff:
        for level, pixels in enumerate((slide, np.asarray(Image.fromarray(slide).reduce(_SHRINK)))):
            per_cm = _PX_PER_CM / _SHRINK**level
            tiff.write(
                pixels,
                tile=(_STORED_PX, _STORED_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                subfiletype=int(level > 0),
                metadata=None,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return path
