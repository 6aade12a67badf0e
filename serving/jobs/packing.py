"""What models found in a chunk of tiles, as bytes."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np

from serving.scoring.cascade import TileFindings
from serving.scoring.tiling import Patch
from serving.wsi.detections import Detections
from serving.wsi.geometry import Region

DAMAGED = (ValueError, KeyError, EOFError, zipfile.BadZipFile)
"""What reading raises where bytes were lost or changed."""


def packed(chunk: Sequence[TileFindings]) -> bytes:
    """Tiles of different shapes as flat arrays and their lengths, in npz form."""
    boxes = [detections for tile in chunk for detections in tile.found]
    flat = Detections.concatenate(boxes)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        patches=np.asarray([_numbers(tile.patch) for tile in chunk], np.int64),
        shapes=np.asarray([tile.scores.shape for tile in chunk], np.int64),
        scores=np.concatenate([tile.scores.ravel() for tile in chunk]),
        parts=np.asarray([tile.structure.shape for tile in chunk], np.int64),
        structure=np.concatenate([tile.structure.ravel() for tile in chunk]),
        looks=np.asarray([len(tile.looked) for tile in chunk], np.int64),
        looked=np.concatenate([tile.looked for tile in chunk]),
        found=np.asarray([len(detections) for detections in boxes], np.int64),
        boxes=flat.boxes,
        probabilities=flat.probabilities,
        box_scores=flat.scores,
    )
    return buffer.getvalue()


def unpacked(data: bytes) -> list[TileFindings]:
    """The tiles that `packed` was given, to the last bit; raises one of `DAMAGED` where `data` is not what it gave."""
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        flat = Detections(kept["boxes"], kept["probabilities"], kept["box_scores"])
        ends = np.cumsum(kept["found"])
        found = [flat[int(end - count) : int(end)] for end, count in zip(ends, kept["found"], strict=True)]
        tiles, score, part, look = [], 0, 0, 0
        for patch, shape, parts, looks in zip(
            kept["patches"], kept["shapes"], kept["parts"], kept["looks"], strict=True
        ):
            size, numbers, count = int(shape.prod()), int(parts.prod()), int(looks)
            tiles.append(
                TileFindings(
                    _patch([int(n) for n in patch]),
                    kept["scores"][score : score + size].reshape(shape),
                    kept["looked"][look : look + count],
                    tuple(found[look : look + count]),
                    kept["structure"][part : part + numbers].reshape(parts),
                )
            )
            score, part, look = score + size, part + numbers, look + count
        return tiles


def _numbers(patch: Patch) -> tuple[int, ...]:
    region = patch.region
    corner = (region.x, region.y, region.width, region.height)
    return (*patch.cell, *corner, patch.first_row, patch.first_column)


def _patch(n: Sequence[int]) -> Patch:
    return Patch((n[0], n[1]), Region(n[2], n[3], n[4], n[5]), n[6], n[7])
