"""What models found in a chunk of tiles, as bytes with their checksum."""

import contextlib
import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.core.detections import Detections
from serving.core.geometry import Region
from serving.scoring.tile_findings import TileFindings
from serving.scoring.tiling import Patch
from serving.store.checksums import DamagedError

_CHECKSUM_BYTES = hashlib.sha256().digest_size
_log = logging.getLogger("mitoserve.worker")


def pack_findings(chunk: Sequence[TileFindings]) -> bytes:
    """Tiles of different shapes as flat arrays and their lengths, in npz form, and the SHA-256 of that at the end."""
    boxes = [detections for tile in chunk for detections in tile.found]
    flat = Detections.concatenate(boxes)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        patches=np.asarray([_numbers(tile.patch) for tile in chunk], np.int64),
        shapes=np.asarray([tile.scores.shape for tile in chunk], np.int64),
        scores=np.concatenate([tile.scores.ravel() for tile in chunk]),
        triaged=np.asarray([tile.triage is not None for tile in chunk], np.bool_),
        triage=np.concatenate([np.empty(0, np.float32), *(t.triage.ravel() for t in chunk if t.triage is not None)]),
        parts=np.asarray([tile.structure.shape for tile in chunk], np.int64),
        structure=np.concatenate([tile.structure.ravel() for tile in chunk]),
        looks=np.asarray([len(tile.looked) for tile in chunk], np.int64),
        looked=np.concatenate([tile.looked for tile in chunk]),
        found=np.asarray([len(detections) for detections in boxes], np.int64),
        boxes=flat.boxes,
        probabilities=flat.probabilities,
        box_scores=flat.scores,
    )
    content = buffer.getvalue()
    return content + hashlib.sha256(content).digest()


def unpack_findings(data: bytes) -> list[TileFindings]:
    """The tiles that `pack_findings` was given, to the last bit.

    Raises
    ------
    DamagedError
        If `data` is not what `pack_findings` gave, or was packed by a release with another layout.
    """
    content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise DamagedError("the checksum does not match")
    try:
        return _tiles(content)
    except Exception as error:  # what another release packed fails in ways that cannot be listed
        raise DamagedError("it holds no findings of tiles") from error


def read_findings(path: Path) -> list[TileFindings] | None:
    """The tiles in a file that `pack_findings` filled; None where it is not there, or damaged, and then it is deleted.

    A disk that cannot read the file has lost it, too.
    """
    try:
        return unpack_findings(path.read_bytes())
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as error:
        _log.warning("%s is damaged and is computed again: %s", path.name, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def _tiles(content: bytes) -> list[TileFindings]:
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        flat = Detections(kept["boxes"], kept["probabilities"], kept["box_scores"])
        ends = np.cumsum(kept["found"])
        found = [flat[int(end - count) : int(end)] for end, count in zip(ends, kept["found"], strict=True)]
        light = np.full_like(kept["scores"], np.nan)
        of_tile = np.repeat(kept["triaged"], kept["shapes"].prod(1))
        light[of_tile] = kept["triage"]
        tiles, score, part, look = [], 0, 0, 0
        for patch, shape, parts, looks, triaged in zip(
            kept["patches"], kept["shapes"], kept["parts"], kept["looks"], kept["triaged"], strict=True
        ):
            size, numbers, count = int(shape.prod()), int(parts.prod()), int(looks)
            tiles.append(
                TileFindings(
                    _patch([int(n) for n in patch]),
                    kept["scores"][score : score + size].reshape(shape),
                    kept["looked"][look : look + count],
                    tuple(found[look : look + count]),
                    kept["structure"][part : part + numbers].reshape(parts),
                    light[score : score + size].reshape(shape) if triaged else None,
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
