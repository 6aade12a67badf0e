"""The isotonic table of a card: it never falls, and it keeps the sum of what it was fitted on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.scoring.analysis import MitosisMap
from training.evaluation.count_calibration import LabelledSubTiles, fit_count_calibration, label_sub_tiles

PAIRS = st.lists(st.tuples(st.floats(0, 1.5, width=32), st.floats(0, 2)), min_size=1, max_size=60)


@pytest.mark.property
@given(pairs=PAIRS)
def test_what_it_was_fitted_on_is_counted_in_full(pairs: list[tuple[float, float]]) -> None:
    scores, targets = np.asarray(pairs).T
    table = fit_count_calibration([LabelledSubTiles(scores.astype(np.float32), targets)], slides=1, data="drawn")
    fitted = np.interp(scores, table.scores, table.values)
    assert fitted.sum() == pytest.approx(targets.sum(), abs=1e-4 * len(pairs))
    assert table.sub_tiles == len(pairs)


def test_sub_tiles_that_show_mirrored_pixels_are_left_out() -> None:
    scores = np.full((4, 5), 0.5, np.float32)
    scores[1, 1] = np.nan
    lattice = MitosisMap(scores, x=-100.0, y=-100.0, step=100.0, window=200.0, mpp=0.25)
    boxes = np.asarray([[150, 50, 250, 70]], np.float32)
    found = label_sub_tiles(lattice, boxes, width=400, height=300)
    assert len(found.scores) == 2 * 3 - 1
    assert found.targets.tolist() == pytest.approx([1.0, 0.5, 0, 0, 0])
