"""The first run of a cascade: whatever a runtime prepares then, no slide waits for."""

import numpy as np

from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.tiling import TILE_PX


def warm_up(detector: OnnxDetector) -> None:
    """Run every model once on as much as it will see at once."""
    model, pace = detector.screening_card.input, choose_batch_sizes(detector.provider)
    side = TILE_PX + model.stride_px
    detector.screen(np.zeros((pace.tiles, side, side, 3), np.uint8))
    detector.detect(np.zeros((pace.windows, model.window_px, model.window_px, 3), np.uint8))
    if detector.verification_card is not None:
        px = detector.verification_card.input.window_px
        detector.verify(np.zeros((pace.candidates, px, px, 3), np.uint8))
