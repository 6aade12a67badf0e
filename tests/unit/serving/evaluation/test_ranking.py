import numpy as np

from serving.evaluation.ranking import rank
from tests.unit.training.evaluation.examples import RADIUS_PX, field


def test_the_second_detection_of_one_figure_is_false() -> None:
    ranking = rank([field([(0, 0, 0.4), (2, 0, 0.9)], [(1, 0)])])
    assert ranking.probabilities.tolist() == np.asarray([0.9, 0.4], np.float32).tolist()
    assert ranking.hits.tolist() == [True, False]
    assert ranking.figures == 1


def test_a_detection_gives_its_figure_up_for_one_that_no_other_can_take() -> None:
    """The first is near both figures, the second near the left one alone: both find a figure, whoever came first."""
    truth = [(0.0, 0.0), (40.0, 0.0)]
    assert rank([field([(20, 0, 0.9), (-20, 0, 0.8)], truth)]).hits.tolist() == [True, True]
    assert rank([field([(20, 0, 0.8), (-20, 0, 0.9)], truth)]).hits.tolist() == [True, True]


def test_a_chain_of_shifts() -> None:
    truth = [(40.0 * i, 0.0) for i in range(5)]
    detections = [(20 + 40.0 * i, 0.0, 0.9 - 0.1 * i) for i in range(4)] + [(-20.0, 0.0, 0.2)]
    assert rank([field(detections, truth)]).hits.all()


def test_fields_are_matched_apart_and_ranked_together() -> None:
    ranking = rank([field([(0, 0, 0.3)], [(0, 0)]), field([(0, 0, 0.7)], []), field([], [(0, 0)])])
    assert ranking.hits.tolist() == [False, True]
    assert ranking.figures == 2


def test_the_radius_is_a_matter_of_microns() -> None:
    assert rank([field([(RADIUS_PX, 0, 0.5)], [(0, 0)])]).hits.all()
    assert not rank([field([(RADIUS_PX + 0.1, 0, 0.5)], [(0, 0)])]).hits.any()


def test_equal_probabilities_end_together() -> None:
    ranking = rank([field([(0, 0, 0.5), (100, 0, 0.5), (200, 0, 0.4)], [])])
    assert ranking.ends().tolist() == [1, 2]
    assert rank([]).ends().tolist() == []
