"""Average precision of detections: by overlap as COCO and torchvision's references measure it, and by centre distance."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

FIGURE = 1
"""The one category."""


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """Predicted and true boxes of one image.

    boxes : float32, shape (N, 4), xyxy, image px; probabilities : float32, shape (N,)
    truth : float32, shape (M, 4), xyxy, image px
    """

    boxes: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    truth: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CocoAp:
    """Average precision over images; NaN without true boxes, 0 without detections."""

    ap_50_95: float
    """Mean over overlaps (IoU) of 0.5 to 0.95 in steps of 0.05: the mAP of torchvision's references."""
    ap_50: float
    """At an overlap (IoU) of 0.5."""


def coco_ap(images: Sequence[ImageBoxes]) -> CocoAp:
    """AP by COCOeval, which looks at the 100 most probable boxes of each image.

    Raises
    ------
    ValueError
        If boxes are not of shape (N, 4) with one probability each.
    """
    for image in images:
        if image.boxes.shape != (len(image.probabilities), 4) or image.truth.shape != (len(image.truth), 4):
            raise ValueError(
                f"boxes {image.boxes.shape}, probabilities {image.probabilities.shape} and truth {image.truth.shape} "
                "must be (N, 4), (N,) and (M, 4)"
            )
    if not any(len(image.truth) for image in images):
        return CocoAp(float("nan"), float("nan"))
    # COCOeval reports its progress by print.
    with redirect_stdout(io.StringIO()):
        truth = _coco([image.truth for image in images], [np.ones(len(image.truth), np.float32) for image in images])
        detected = _coco([image.boxes for image in images], [image.probabilities for image in images])
        evaluation = COCOeval(truth, detected, iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return CocoAp(ap_50_95=float(evaluation.stats[0]), ap_50=float(evaluation.stats[1]))


def _coco(boxes: Sequence[NDArray[np.float32]], scores: Sequence[NDArray[np.float32]]) -> Any:
    """Boxes as a COCO data set, image i having the id i."""
    rows: list[dict[str, Any]] = []
    for image, (of_image, scored) in enumerate(zip(boxes, scores, strict=True)):
        for (x1, y1, x2, y2), score in zip(of_image.tolist(), scored.tolist(), strict=True):
            rows.append(
                {
                    # COCOeval takes a match with id 0 for none.
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": FIGURE,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "score": score,
                }
            )
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(boxes))],
        "categories": [{"id": FIGURE, "name": "mitotic figure"}],
        "annotations": rows,
    }
    coco.createIndex()
    return coco
