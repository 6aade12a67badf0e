"""What a trained model says of sub-tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.study.models import SubTileDetector, SubTileNet
from training.study.pixels import read_sub_tile
from training.study.sub_tiles import SubTiles

BATCH = 32


@dataclass(frozen=True, slots=True)
class Predictions:
    """scores : float32, (N,): a net's output, or a detector's highest probability (0 without a box; paper, Section 3.2).

    boxes, probabilities : a detector's, one array a sub-tile, (K, 4) xyxy window px and (K,); None of a net
    """

    scores: NDArray[np.float32]
    boxes: list[NDArray[np.float32]] | None = None
    probabilities: list[NDArray[np.float32]] | None = None


@torch.inference_mode()
def predict(
    model: SubTileNet | SubTileDetector, table: SubTiles, root: Path, indices: Sequence[int] | NDArray[np.intp]
) -> Predictions:
    """Predictions for sub-tiles of a table, in the order of `indices`; the model's mode is as it was afterwards."""
    device = next(model.parameters()).device
    trained = model.training
    model.eval()
    scores, boxes, probabilities = [], [], []
    for start in range(0, len(indices), BATCH):
        pixels = np.stack([read_sub_tile(root, table, int(i)) for i in indices[start : start + BATCH]])
        images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
        output: Tensor | list[dict[str, Tensor]] = model(images)
        if isinstance(output, Tensor):
            scores.append(output.float().cpu().numpy())
            continue
        for found in output:
            boxes.append(found["boxes"].cpu().numpy())
            probabilities.append(found["scores"].cpu().numpy())
            scores.append(np.asarray([max(probabilities[-1], default=0.0)], np.float32))
    model.train(trained)
    joined = np.concatenate(scores) if scores else np.empty(0, np.float32)
    if isinstance(model, SubTileDetector):
        return Predictions(joined, boxes, probabilities)
    return Predictions(joined)
