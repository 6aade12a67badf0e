from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.detections import Detections
from serving.scoring.merging import SubTileBoxes, merge

pytestmark = pytest.mark.property
WINDOW, RADIUS = 250, 24.0

# Few values, half of them 125 px apart, so that equal and nearly equal boxes from several sub-tiles are common.
places = st.sampled_from([0, 95, 105, 125, 220, 230])
boxes = st.tuples(places, places, st.sampled_from([20, 30]))
windows = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(
        st.sampled_from([0.1, 0.5, 0.9]), st.lists(st.tuples(boxes, st.sampled_from([0.3, 0.6, 0.9])), max_size=4)
    ),
    max_size=9,
)
Windows = dict[tuple[int, int], tuple[float, list[tuple[tuple[int, int, int], float]]]]


def _raw(windows: Windows, order: list[tuple[int, int]]) -> SubTileBoxes:
    found, probabilities, sub_tile, scores = [], [], [], []
    for index, (column, row) in enumerate(order):
        score, inside = windows[column, row]
        scores.append(score)
        for (x, y, side), probability in inside:
            left, top = x + column * 125, y + row * 125
            found.append((left, top, min(x + side, WINDOW) + column * 125, min(y + side, WINDOW) + row * 125))
            probabilities.append(probability)
            sub_tile.append(index)
    all_scores = np.asarray(scores, np.float32)
    indices = np.asarray(sub_tile, np.int64)
    return SubTileBoxes(
        Detections(
            np.asarray(found, np.float32).reshape(-1, 4), np.asarray(probabilities, np.float32), all_scores[indices]
        ),
        indices,
        np.asarray(order, np.float32).reshape(-1, 2) * 125,
        all_scores,
    )


@given(windows, st.randoms(use_true_random=False))
def test_the_order_of_sub_tiles_changes_nothing(windows: Windows, random: Random) -> None:
    order = list(windows)
    first = merge(_raw(windows, order), radius=RADIUS, window=WINDOW, margin=40)
    random.shuffle(order)
    second = merge(_raw(windows, order), radius=RADIUS, window=WINDOW, margin=40)
    assert np.array_equal(first.boxes, second.boxes)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert np.array_equal(first.scores, second.scores)


@given(windows)
def test_merging_the_merged_changes_no_box(windows: Windows) -> None:
    once = merge(_raw(windows, list(windows)), radius=RADIUS, window=WINDOW, margin=40)
    # Each figure in a sub-tile of its own, centred on it.
    raw = SubTileBoxes(once, np.arange(len(once)), once.centres - np.float32(WINDOW / 2), once.scores)
    twice = merge(raw, radius=RADIUS, window=WINDOW, margin=40)
    assert sorted(twice.boxes.tolist()) == sorted(once.boxes.tolist())


@given(windows)
def test_figures_are_apart_and_every_box_belongs_to_one(windows: Windows) -> None:
    raw = _raw(windows, list(windows))
    merged = merge(raw, radius=RADIUS, window=WINDOW, margin=40)
    between = np.linalg.norm(merged.centres[:, None] - merged.centres[None], axis=2) + np.eye(len(merged)) * 1e9
    assert (between > RADIUS).all()
    if len(raw.detections):
        to_figure = np.linalg.norm(raw.detections.centres[:, None] - merged.centres[None], axis=2).min(1)
        assert (to_figure <= RADIUS).all()
        assert merged.probabilities.max() <= raw.detections.probabilities.max() + 1e-6
        assert (merged.probabilities >= 0).all()
