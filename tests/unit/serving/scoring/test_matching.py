import numpy as np

from serving.scoring.matching import match_centres

NONE = np.empty((0, 2))


def test_nothing_matches_nothing() -> None:
    one = np.zeros((1, 2))
    assert match_centres(NONE, one, 5) == match_centres(one, NONE, 5) == match_centres(NONE, NONE, 5) == []


def test_two_predictions_of_one_figure_give_one_pair() -> None:
    assert len(match_centres(np.asarray([(0.0, 0.0), (1.0, 0.0)]), np.asarray([(0.5, 0.0)]), 5)) == 1


def test_a_greedy_choice_that_costs_a_pair_is_not_made() -> None:
    predicted = np.asarray([(0.0, 0.0), (4.0, 0.0)])
    true = np.asarray([(3.0, 0.0), (-4.0, 0.0)])
    # The first prediction is nearer to the first figure, which is the only one that the second can have.
    assert sorted(match_centres(predicted, true, 4)) == [(0, 1), (1, 0)]


def test_the_radius_is_inclusive() -> None:
    one, other = np.asarray([(0.0, 0.0)]), np.asarray([(3.0, 4.0)])
    assert match_centres(one, other, 5.0) == [(0, 0)]
    assert match_centres(one, other, 4.999) == []
