"""The first run of a detector: whatever a runtime prepares then, no slide waits for."""

import numpy as np

from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import AnyDetector, OneStageDetector
from serving.scoring.tiling import TILE_PX


def warm_up(detector: AnyDetector) -> None:
    """Run every model once on as much as it will see at once."""
    pace = choose_batch_sizes(detector.provider)
    if isinstance(detector, OneStageDetector):
        px = detector.card.input.window_px
        detector.find(np.zeros((detector.card.input.batch or pace.windows, px, px, 3), np.uint8))
        return
    model = detector.screening_card.input
    side = TILE_PX + model.stride_px
    detector.screen(np.zeros((pace.tiles, side, side, 3), np.uint8))
    detector.detect(np.zeros((pace.windows, model.window_px, model.window_px, 3), np.uint8))
    if detector.verification_card is not None:
        px = detector.verification_card.input.window_px
        detector.verify(np.zeros((pace.candidates, px, px, 3), np.uint8))
