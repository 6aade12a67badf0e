import numpy as np
from numpy.typing import NDArray

from serving.core.options import ScoringOptions
from serving.scoring.cascade import CascadeRunner
from serving.scoring.detector import list_cards
from serving.scoring.merging import SubTileBoxes
from serving.scoring.plan import make_plan
from serving.scoring.reading import ReadClock, read_ahead
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue


def _everywhere(origins: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.ones(len(origins), np.bool_)


def _run(pixels: NDArray[np.uint8], cascade: CascadeRunner) -> SubTileBoxes:
    slide = ArraySlide(pixels, mpp=0.25)
    plan = make_plan(slide, ScoringOptions(), list_cards(cascade.detector)[0].input)
    with read_ahead(slide, plan.frame, plan.tiles, ReadClock()) as patches:
        return cascade.run(patches, lambda: None)


def test_a_sub_tile_that_two_tiles_read_is_looked_at_once() -> None:
    pixels = tissue(2000, 2000)
    pixels[:1000, :1000] = 245  # the upper left tile is not scored: two neighbours take its last sub-tile over
    plant(pixels, 1050, 1050)
    raw = _run(pixels, CascadeRunner(DotDetector(), -np.inf, _everywhere))
    assert len(np.unique(raw.origins, axis=0)) == len(raw.origins) == 17 * 17 - 8 * 8
    shared = np.flatnonzero((raw.origins == (875, 875)).all(1))
    assert len(shared) == 1
    assert (raw.sub_tile == shared[0]).sum() == 1


def test_boxes_are_in_the_slides_pixels_with_their_sub_tiles_score() -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 437, 937)
    raw = _run(pixels, CascadeRunner(DotDetector(), 0.5, _everywhere))
    assert len(raw.detections) == len(raw.origins) == 4
    assert np.abs(raw.detections.centres - (437, 937)).max() <= 1
    assert np.allclose(raw.detections.scores, 1)
    assert (raw.origins[raw.sub_tile] <= raw.detections.boxes[:, :2]).all()


def test_sub_tiles_that_show_nothing_of_the_slide_have_no_score() -> None:
    cascade = CascadeRunner(DotDetector(), -np.inf, lambda origins: origins[:, 0] >= 0)
    raw = _run(tissue(900, 900), cascade)
    (tile,) = cascade.tiles
    assert np.isnan(tile.scores[:, 0]).all()
    assert not np.isnan(tile.scores[:, 1:]).any()
    assert raw.origins[:, 0].min() == 0
