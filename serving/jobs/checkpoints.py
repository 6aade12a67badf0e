"""What of an analysis is finished, on disk: a file a chunk of tiles, each appearing whole or not at all.

The numbers are determined by slide, options and models, so whoever wrote a chunk, it is the same; only the folder's key
has to be right.
"""

import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.scoring.cascade import TileFindings
from serving.scoring.tiling import Patch
from serving.wsi.detections import Detections
from serving.wsi.geometry import Region


class Checkpoints:
    """The finished chunks of one analysis, in <root>/<analysis>/<key>/."""

    def __init__(self, root: Path, analysis_id: str, key: str) -> None:
        self._analysis = root / analysis_id
        self._folder = self._analysis / key
        self._chunks = 0

    def load(self) -> list[TileFindings]:
        """All tiles of the chunks from the first on, up to the first that is missing or damaged."""
        found: list[TileFindings] = []
        self._chunks = 0
        while (path := self._path(self._chunks)).is_file():
            try:
                found.extend(_unpacked(path.read_bytes()))
            except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
                break
            self._chunks += 1
        return found

    def save(self, chunk: Sequence[TileFindings]) -> None:
        """Keep the next chunk; raises `OSError` where the disk is full, and then leaves nothing behind."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(self._chunks)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(_packed(chunk))
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._chunks += 1

    def remove(self) -> None:
        """Forget everything about the analysis."""
        shutil.rmtree(self._analysis, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self._folder / f"{chunk:06}.npz"


def _packed(chunk: Sequence[TileFindings]) -> bytes:
    """Tiles of different shapes as flat arrays and their lengths."""
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


def _unpacked(data: bytes) -> list[TileFindings]:
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
