"""The first run of a detector: whatever a runtime prepares then, no slide waits for."""

import numpy as np

from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import (
    AnyDetector,
    EnsembleDetector,
    OneStageDetector,
    TriagedDetector,
    find_atypia,
    find_segmenter,
)
from serving.scoring.tiling import TILE_PX
from serving.scoring.triage import MOST_PIECES


def warm_up(detector: AnyDetector) -> None:
    """Run every model once on as much as it will see at once."""
    pace, atypia, segmenter = choose_batch_sizes(detector.provider), find_atypia(detector), find_segmenter(detector)
    if isinstance(detector, EnsembleDetector):
        for member in detector.members.values():
            warm_up(member)
    if atypia is not None:
        px = atypia.card.input.window_px
        atypia.classify(np.zeros((pace.candidates, px, px, 3), np.uint8))
    if segmenter is not None:
        px = segmenter.card.input.window_px
        segmenter.segment(np.zeros((segmenter.card.input.batch or pace.windows, px, px, 3), np.uint8))
    if isinstance(detector, EnsembleDetector):
        return
    if isinstance(detector, OneStageDetector):
        px = detector.card.input.window_px
        detector.find(np.zeros((detector.card.input.batch or pace.windows, px, px, 3), np.uint8))
        return
    model = detector.screening_card.input
    side = TILE_PX + model.stride_px
    detector.screen(np.zeros((pace.tiles, side, side, 3), np.uint8))
    detector.detect(np.zeros((pace.windows, model.window_px, model.window_px, 3), np.uint8))
    if isinstance(detector, TriagedDetector) and detector.triage_card is not None:
        # Tiles as fast analyses fill them up to whole cells, and sub-tiles that Reg-NS is shown by themselves.
        cell, blocks = detector.triage_card.input.stride_px, (side // model.stride_px) ** 2
        alone = int(MOST_PIECES * blocks / (model.window_px / model.stride_px) ** 2)
        padded = side + -side % cell
        detector.triage(np.zeros((pace.tiles, padded, padded, 3), np.uint8))
        detector.screen(np.zeros((pace.tiles * alone, model.window_px, model.window_px, 3), np.uint8))
    if detector.verification_card is not None:
        px = detector.verification_card.input.window_px
        detector.verify(np.zeros((pace.candidates, px, px, 3), np.uint8))
