"""Crowd labels for tissue whose truth is known: who would have boxed what, and the agreement that follows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.datasets.store import Annotation

MIN_BOXES = 2
"""A box is kept if at least two labelers placed overlapping ones (paper, Section 3.1)."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Labelers that see each tile.

    raters : at least 5 in the paper; finds : chance that a labeler boxes a figure; fooled : that they box a look-alike
    jitter_px : standard deviation of the mean box's edges
    """

    raters: int = 7
    finds: float = 0.8
    fooled: float = 0.2
    jitter_px: float = 1.0


EXPERTS = Crowd(raters=5, finds=0.97, fooled=0.02, jitter_px=0.5)


def crowd_annotations(
    figures: NDArray[np.float32], lookalikes: NDArray[np.float32], crowd: Crowd, rng: np.random.Generator
) -> tuple[tuple[Annotation, ...], tuple[tuple[float, float, float, float], ...]]:
    """Boxes that the crowd agrees on, each with its agreement, and boxes that one labeler alone drew.

    figures, lookalikes : float32, (N, 4), xyxy
    """
    kept, ambiguous = [], []
    for boxes, chance in ((figures, crowd.finds), (lookalikes, crowd.fooled)):
        votes = rng.binomial(crowd.raters, chance, len(boxes))
        moved = boxes + rng.normal(0, crowd.jitter_px, boxes.shape)
        for box, count in zip(moved, votes, strict=True):
            x1, y1, x2, y2 = (float(v) for v in box)
            if count >= MIN_BOXES:
                agreement = float(count / crowd.raters)
                kept.append(Annotation(box=(x1, y1, x2, y2), label="mitotic figure", agreement=agreement))
            elif count:
                ambiguous.append((x1, y1, x2, y2))
    return tuple(kept), tuple(ambiguous)
