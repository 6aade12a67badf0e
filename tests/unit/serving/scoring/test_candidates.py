"""Peaks of maps and boxes of windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.scoring.candidates import find_candidates, find_peaks, suppress_boxes
from tests.examples import draw_examples
from tests.miniatures.cards import POINTS_PX, make_boxes_card, make_points_card


def _map(*peaks: tuple[int, int, float], side: int = 64) -> NDArray[np.float32]:
    found = np.zeros((side, side), np.float32)
    for x, y, value in peaks:
        found[y, x] = value
    return found


def test_each_peak_is_at_the_middle_of_its_place() -> None:
    middles, values = find_peaks(_map((10, 20, 0.9), (40, 20, 0.6)), 0.5, 5.0)
    assert middles.tolist() == [[10.5, 20.5], [40.5, 20.5]]
    assert values.tolist() == pytest.approx([0.9, 0.6])


def test_what_is_fainter_than_the_least_probability_is_no_peak() -> None:
    assert len(find_peaks(_map((10, 20, 0.49)), 0.5, 5.0)[0]) == 0


def test_a_plateau_is_one_peak_in_its_middle() -> None:
    probabilities = np.zeros((64, 64), np.float32)
    probabilities[20:31, 30:35] = 1.0
    middles, _ = find_peaks(probabilities, 0.5, 3.0)
    assert middles.tolist() == [[32.5, 25.5]]


@draw_examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63), st.sampled_from([0.4, 0.6, 0.8, 1.0])), max_size=30),
    st.floats(0.5, 20),
)
def test_peaks_keep_their_distance_and_none_that_is_highest_around_is_lost(
    peaks: list[tuple[int, int, float]], distance: float
) -> None:
    probabilities = _map(*peaks)
    middles, _ = find_peaks(probabilities, 0.5, distance)
    apart = np.hypot(*(middles[:, None] - middles[None]).transpose(2, 0, 1)) + np.eye(len(middles)) * 1e9
    assert (apart > distance).all()
    for row, column in np.argwhere(probabilities >= 0.5):
        y, x = np.ogrid[:64, :64]
        around = probabilities[(np.hypot(x - column, y - row) <= max(distance, 2)) & ((x != column) | (y != row))]
        if probabilities[row, column] > around.max():
            assert [column + 0.5, row + 0.5] in middles.tolist()


def test_boxes_that_overlap_a_likelier_one_are_dropped_where_the_graph_has_not_done_so() -> None:
    boxes = np.asarray([[0, 0, 20, 20], [2, 2, 22, 22], [40, 40, 60, 60], [5, 5, 5, 9]], np.float32)
    probabilities = np.asarray([0.7, 0.9, 0.6, 1.0], np.float32)
    assert suppress_boxes(boxes, probabilities, 0.5, 0.3).boxes.tolist() == [[2, 2, 22, 22], [40, 40, 60, 60]]
    assert len(suppress_boxes(boxes, probabilities, 0.5, None)) == 3
    assert len(suppress_boxes(boxes, probabilities, 0.65, None)) == 2


def test_a_coarse_map_is_placed_in_px_of_the_window() -> None:
    card = make_points_card(point_box_um=10.0)
    (found,) = find_candidates(card, {"probabilities": _map((8, 4, 0.9))[None]})
    assert POINTS_PX // 64 == 4
    assert found.boxes.tolist() == [[24, 8, 44, 28]]


@pytest.mark.parametrize("value", [-2.0, 3.5])
def test_values_that_are_no_probabilities_are_named(value: float) -> None:
    with pytest.raises(ModelError, match="must end in a sigmoid"):
        find_candidates(make_points_card(), {"probabilities": np.full((1, 64, 64), value, np.float32)})


def test_a_window_without_candidates_gives_none() -> None:
    outputs = {"boxes": np.zeros((2, 0, 4), np.float32), "probabilities": np.zeros((2, 0), np.float32)}
    assert [len(found) for found in find_candidates(make_boxes_card(), outputs)] == [0, 0]
