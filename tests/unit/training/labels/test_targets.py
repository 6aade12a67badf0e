import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.labels.targets import cell_targets, clip_boxes, sub_tile_target

coordinate = st.floats(-60, 300, allow_nan=False, width=32)
side = st.floats(5, 70, width=32)


def test_target_adds_visible_area_times_agreement() -> None:
    boxes = np.asarray([[10, 10, 40, 40], [240, 100, 260, 120], [400, 400, 430, 430]], np.float32)
    cut, fractions = clip_boxes(boxes, (0, 0, 250, 250))
    assert cut.tolist() == [[10, 10, 40, 40], [240, 100, 250, 120]]
    assert fractions == pytest.approx([1.0, 0.5])
    assert sub_tile_target(fractions, np.asarray([0.8, 0.6], np.float32)) == pytest.approx(0.8 + 0.3)


@given(coordinate, coordinate, side, side)
def test_cells_add_up_to_the_sub_tile_target(x: float, y: float, width: float, height: float) -> None:
    box = np.asarray([[x, y, x + width, y + height]], np.float32)
    _, fractions = clip_boxes(box, (0, 0, 250, 250))
    cells = cell_targets(box, cells=8, pitch=32.0, window=250)
    assert cells.sum() == pytest.approx(sub_tile_target(fractions, np.ones(len(fractions), np.float32)), abs=1e-3)


def test_one_figure_adds_four_over_the_lattice() -> None:
    # Inside the tissue each pixel lies in four sub-tiles, so the targets of one figure add up to four.
    box = np.asarray([[610, 555, 640, 585]], np.float32)
    total = sum(
        float(clip_boxes(box, (x, y, 250, 250))[1].sum()) for x in range(0, 1000, 125) for y in range(0, 1000, 125)
    )
    assert total == pytest.approx(4.0)
