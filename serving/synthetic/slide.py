"""A generated slide as a file: pyramidal tiled TIFF, tissue on glass, and the truth beside it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from serving.core.geometry import Region
from serving.core.words import RESEARCH_USE
from serving.synthetic.artefacts import Kind, place_artefacts, truth_raster
from serving.synthetic.field import MPP, SyntheticTissue

TILE_PX = 256
"""Side of a stored tile."""
SHRINK = 4
"""From one level of the pyramid to the next."""
SMALLEST_LEVEL_PX = 1024
"""A level of at most this side is the last."""
JPEG_QUALITY = 90
_GLASS = 246
_OUTLINE_PX = 128
"""Pitch of the raster that the tissue's outline is drawn on."""
_EDGE_PX = 60
"""Width of the tissue's soft edge, in px."""
_UM_PER_CM = 10_000
TRUTH_PX = 16
"""Level-0 px of an element of the artefacts' truth."""

Tile = NDArray[np.uint8]
Tiles = dict[tuple[int, int], Tile]
"""The tiles of a level that show tissue, by (column, row)."""


@dataclass(frozen=True, slots=True)
class SlideTruth:
    """What was drawn; boxes xyxy, level-0 px."""

    width: int
    height: int
    mpp: float | None
    seed: int
    mitotic_figures: list[list[float]]
    lookalikes: list[list[float]]


def truth_path(slide: Path) -> Path:
    """Where the truth of a generated slide lies: `name.tif` -> `name.truth.json`."""
    return slide.with_name(f"{slide.stem}.truth.json")


def artefacts_path(slide: Path) -> Path:
    """Where the truth of a slide's artefacts lies, if it has any: `name.tif` -> `name.artefacts.png`, see `truth_raster`."""
    return slide.with_name(f"{slide.stem}.artefacts.png")


def generate_slide(
    path: Path,
    *,
    seed: int = 0,
    width: int = 4096,
    height: int = 4096,
    mpp: float | None = MPP,
    tissue_fraction: float = 0.4,
    mitoses_per_mm2: float = 40.0,
    lookalikes_per_mm2: float = 40.0,
    artefacts: Sequence[Kind] = (),
    stain_turn: float = 0.0,
) -> SlideTruth:
    """Write a slide to `path` and its truth to `truth_path(path)`; the same arguments give the same pixels.

    Memory holds the tissue's share of one level's tiles a quarter as wide, so 40,000 x 40,000 px of glass are cheap.

    mpp : microns per px that the file states, None for a file that states none; cells are drawn at 0.25 um/px
    tissue_fraction : share of the slide that is tissue, 0 to 1
    artefacts : one of each is laid on the tissue, and the truth of them goes to `artefacts_path(path)`
    stain_turn : degrees by which eosin is bluer than usual

    Raises
    ------
    ValueError
        If a size is below one tile, the tissue's share is outside 0 to 1, or artefacts find no room.
    """
    if min(width, height) < TILE_PX or not 0 <= tissue_fraction <= 1:
        raise ValueError(f"a slide needs {TILE_PX} px a side and a tissue_fraction from 0 to 1")
    outline = _Outline.random(seed, width, height, tissue_fraction)
    placed = place_artefacts(artefacts, seed=seed, width=width, height=height, is_tissue=outline.is_tissue)
    tissue = SyntheticTissue(seed, mitoses_per_mm2, lookalikes_per_mm2, outline.cover, tuple(placed), stain_turn)
    _write_pyramid(path, _Drawn(tissue, outline), width, height, mpp)
    if placed:
        Image.fromarray(truth_raster(placed, width, height, TRUTH_PX)).save(artefacts_path(path))
    whole = Region(0, 0, width, height)
    boxes = [tissue.boxes(whole, kind).round(2).astype(float).tolist() for kind in ("figure", "lookalike")]
    truth = SlideTruth(width, height, mpp, seed, *boxes)
    text = json.dumps({"what": "generated tissue", "research_use": RESEARCH_USE, **asdict(truth)}, indent=1)
    truth_path(path).write_text(text + "\n")
    return truth


def write_geojson(truth: SlideTruth, path: Path) -> None:
    """Write the figures that were drawn as QuPath has them, such as beside a slide of a golden set: `name.geojson`."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]]},
            "properties": {"objectType": "annotation", "classification": {"name": "Mitosis", "color": [200, 0, 0]}},
        }
        for x1, y1, x2, y2 in truth.mitotic_figures
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


@dataclass(frozen=True, slots=True)
class _Outline:
    """Where tissue is.

    height_map : float32, shape (rows, columns), about the px from the edge, positive in tissue; pitch `_OUTLINE_PX`
    """

    height_map: NDArray[np.float32]

    @classmethod
    def random(cls, seed: int, width: int, height: int, share: float) -> "_Outline":
        """A few lobed islands that fill `share` of the slide."""
        rows, columns = (-(-n // _OUTLINE_PX) + 1 for n in (height, width))
        rng = np.random.default_rng([seed, 2])
        noise = ndimage.gaussian_filter(rng.standard_normal((rows, columns)), max(min(rows, columns) / 9, 1.5))
        y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        hill = noise / noise.std() - 2.2 * np.maximum(np.abs(x), np.abs(y)) ** 4
        if share >= 1:
            return cls(np.full_like(hill, 1e6, np.float32))
        inside = hill > np.quantile(hill, 1 - share)
        # Distances grow outwards from the picture's border too: tissue may touch the slide's edge, not end at it.
        far = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
        return cls((ndimage.gaussian_filter(far, 1.5) * _OUTLINE_PX).astype(np.float32))

    def cover(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `field.Cover`."""
        rows, columns = np.meshgrid(y / _OUTLINE_PX, x / _OUTLINE_PX, indexing="ij")
        far = ndimage.map_coordinates(self.height_map, [rows, columns], order=1, mode="nearest")
        return np.clip(0.5 + far / _EDGE_PX, 0, 1).astype(np.float32)

    def is_tissue(self, x: float, y: float) -> bool:
        """Whether a place is wholly covered."""
        return bool(self.cover(np.asarray([x]), np.asarray([y]))[0, 0] >= 1)

    def touches(self, region: Region) -> bool:
        """Whether any of the region may show tissue."""
        low = region.y // _OUTLINE_PX, region.x // _OUTLINE_PX
        high = region.bottom // _OUTLINE_PX + 2, region.right // _OUTLINE_PX + 2
        part = self.height_map[max(low[0], 0) : high[0], max(low[1], 0) : high[1]]
        return bool(part.size and part.max() > -_EDGE_PX / 2)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Level-0 tiles, drawn in squares of SHRINK x SHRINK tiles, since neighbours share cells."""

    tissue: SyntheticTissue
    outline: _Outline

    def square(self, column: int, row: int) -> Tile | None:
        """One square of tiles, None where it is all glass."""
        side = SHRINK * TILE_PX
        region = Region(column * side, row * side, side, side)
        drawn = self.outline.touches(region) or any(a.touches(region) for a in self.tissue.artefacts)
        return self.tissue.draw(region) if drawn else None


def _write_pyramid(path: Path, drawn: _Drawn, width: int, height: int, mpp: float | None) -> None:
    """Level 0 is drawn row by row while it is written; each further level is made from the one before."""
    shrunk: Tiles = {}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        _write_level(tiff, _level0(drawn, width, height, shrunk), width, height, mpp, level=0)
        level = 1
        while max(width, height) > SMALLEST_LEVEL_PX:
            width, height = -(-width // SHRINK), -(-height // SHRINK)
            tiles, shrunk = shrunk, _shrunk_tiles(shrunk)
            stated = None if mpp is None else mpp * SHRINK**level
            _write_level(tiff, _encode_tiles(tiles.get, width, height), width, height, stated, level=level)
            level += 1


def _level0(drawn: _Drawn, width: int, height: int, shrunk: Tiles) -> Iterator[Tile]:
    """All tiles of level 0, row by row; `shrunk` receives the tiles of level 1."""
    columns, rows = -(-width // TILE_PX), -(-height // TILE_PX)
    for band in range(-(-rows // SHRINK)):
        squares = {}
        for column in range(-(-columns // SHRINK)):
            square = drawn.square(column, band)
            if square is not None:
                squares[column] = square
                shrunk[column, band] = np.asarray(Image.fromarray(square).reduce(SHRINK))

        for row in range(band * SHRINK, min((band + 1) * SHRINK, rows)):
            for column in range(columns):
                square = squares.get(column // SHRINK)
                y, x = (row % SHRINK) * TILE_PX, (column % SHRINK) * TILE_PX
                yield _glass() if square is None else square[y : y + TILE_PX, x : x + TILE_PX]


def _shrunk_tiles(tiles: Tiles) -> Tiles:
    result: Tiles = {}
    for cell in {(column // SHRINK, row // SHRINK) for column, row in tiles}:
        square = np.full((SHRINK * TILE_PX, SHRINK * TILE_PX, 3), _GLASS, np.uint8)
        for column in range(SHRINK):
            for row in range(SHRINK):
                tile = tiles.get((cell[0] * SHRINK + column, cell[1] * SHRINK + row))
                if tile is not None:
                    square[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX] = tile
        result[cell] = np.asarray(Image.fromarray(square).reduce(SHRINK))
    return result


def _encode_tiles(tile_at: Callable[[tuple[int, int]], Tile | None], width: int, height: int) -> Iterator[Tile]:
    for row in range(-(-height // TILE_PX)):
        for column in range(-(-width // TILE_PX)):
            tile = tile_at((column, row))
            yield _glass() if tile is None else tile


def _glass() -> Tile:
    return np.full((TILE_PX, TILE_PX, 3), _GLASS, np.uint8)


def _write_level(
    tiff: tifffile.TiffWriter, tiles: Iterator[Tile], width: int, height: int, mpp: float | None, *, level: int
) -> None:
    options: dict[str, Any] = {}
    if mpp is not None:
        options = {"resolution": (_UM_PER_CM / mpp, _UM_PER_CM / mpp), "resolutionunit": "CENTIMETER"}
    tiff.write(
        tiles,
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        subfiletype=int(level > 0),
        software="mitoserve",
        metadata=None,
        maxworkers=1,
        **options,
    )
