import numpy as np
import pytest

from serving.core.detections import Detections
from serving.scoring.merging import SubTileBoxes, merge

WINDOW, RADIUS = 250, 24.0

Found = tuple[float, float, float, float]
"""Centre x, centre y, side and probability of a box, px of the slide."""


def _raw(windows: list[tuple[float, float, float, list[Found]]]) -> SubTileBoxes:
    """windows : x, y, screening score and what was found there"""
    boxes = [(x - s / 2, y - s / 2, x + s / 2, y + s / 2) for *_, found in windows for x, y, s, _ in found]
    sub_tile = np.repeat(np.arange(len(windows)), [len(found) for *_, found in windows])
    scores = np.asarray([score for _, _, score, _ in windows], np.float32)
    return SubTileBoxes(
        Detections(
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray([p for *_, found in windows for *_, p in found], np.float32),
            scores[sub_tile],
        ),
        sub_tile.astype(np.int64),
        np.asarray([(x, y) for x, y, *_ in windows], np.float32).reshape(-1, 2),
        scores,
    )


def _merge_boxes(windows: list[tuple[float, float, float, list[Found]]]) -> Detections:
    return merge(_raw(windows), radius=RADIUS, window=WINDOW, margin=40)


def test_nothing_merges_to_nothing() -> None:
    assert len(_merge_boxes([])) == 0
    assert len(_merge_boxes([(0, 0, 0.5, [])])) == 0


def test_looks_at_one_figure_are_averaged_and_silence_counts_as_zero() -> None:
    looks: list[Found] = [(180, 100, 30, 0.9)]
    found = _merge_boxes([(0, 0, 0.8, looks), (125, 0, 0.6, [(182, 101, 30, 0.6)]), (60, 0, 0.7, [])])
    assert len(found) == 1
    # The sub-tile at 125 shows the figure 55 px from its edge; all three are judges.
    assert found.probabilities[0] == pytest.approx((0.9 + 0.6 + 0.0) / 3)
    assert found.boxes[0].tolist() == [165, 85, 195, 115]


def test_a_sub_tile_that_shows_a_figure_at_its_border_is_no_judge() -> None:
    found = _merge_boxes([(0, 0, 0.8, [(125, 125, 30, 0.9)]), (100, 0, 0.7, [])])
    assert found.probabilities[0] == pytest.approx(0.9)


def test_the_score_is_that_of_the_most_central_sub_tile() -> None:
    found = _merge_boxes([(0, 0, 0.2, [(180, 125, 30, 0.9)]), (50, 0, 0.7, [(180, 125, 30, 0.8)])])
    assert found.scores[0] == pytest.approx(0.7)


def test_whole_boxes_win_over_likelier_ones_that_an_edge_cuts() -> None:
    cut = (245.0, 100.0, 10.0, 0.99)
    found = _merge_boxes([(0, 0, 0.5, [cut]), (125, 0, 0.5, [(250, 100, 30, 0.6)])])
    assert len(found) == 1
    assert found.boxes[0].tolist() == [235, 85, 265, 115]


def test_figures_farther_apart_than_the_radius_stay_two() -> None:
    apart = _merge_boxes([(0, 0, 0.5, [(100, 100, 30, 0.9), (125, 100, 30, 0.8)])])
    assert apart.probabilities.tolist() == pytest.approx([0.9, 0.8])
    assert len(_merge_boxes([(0, 0, 0.5, [(100, 100, 30, 0.9), (123, 100, 30, 0.8)])])) == 1


def test_the_radius_does_not_chain() -> None:
    found = _merge_boxes([(0, 0, 0.5, [(100, 100, 30, 0.9), (120, 100, 30, 0.8), (140, 100, 30, 0.7)])])
    assert found.centres[:, 0].tolist() == [100, 140]
