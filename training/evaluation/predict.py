"""What a trained model says of sub-tiles."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.samples import find_boxes
from training.data.sub_tiles import SubTileTable, read_sub_tile
from training.evaluation.detection_ap import ImageBoxes
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet

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
    model: SubTileNet | SubTileDetector, table: SubTileTable, root: Path, indices: NDArray[np.intp] | NDArray[np.int32]
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


def beside_truth(
    found: Predictions, table: SubTileTable, indices: NDArray[np.intp] | NDArray[np.int32]
) -> list[ImageBoxes]:
    """A detector's boxes beside the labelled ones, for mAP. indices : the sub-tiles that were predicted, in order.

    Raises
    ------
    ValueError
        If the predictions are of a net, which gives no boxes.
    """
    if found.boxes is None or found.probabilities is None:
        raise ValueError("predictions without boxes have no mAP")
    return [
        ImageBoxes(boxes, probabilities, find_boxes(table, int(index))[0])
        for boxes, probabilities, index in zip(found.boxes, found.probabilities, indices, strict=True)
    ]
