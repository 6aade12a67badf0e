import numpy as np

from serving.evaluation.outcomes import Outcomes, outcomes


def of(
    detections: list[tuple[float, float, float]],
    *,
    figures: list[tuple[float, float]] | None = None,
    ambiguous: list[tuple[float, float]] | None = None,
    look_alikes: list[tuple[float, float]] | None = None,
) -> Outcomes:
    rows = np.asarray(detections, np.float64).reshape(-1, 3)
    points = [np.asarray(p or [], np.float64).reshape(-1, 2) for p in (figures, ambiguous, look_alikes)]
    return outcomes(rows[:, :2], rows[:, 2], points[0], ambiguous=points[1], look_alikes=points[2], radius=10)


def test_a_figure_comes_before_an_ambiguous_object_and_that_before_a_look_alike() -> None:
    same = [(0.0, 0.0)]
    found = of([(0, 0, 0.9), (1, 0, 0.8), (2, 0, 0.7), (3, 0, 0.6)], figures=same, ambiguous=same, look_alikes=same)
    assert found.hits.tolist() == [True, False, False, False]
    assert found.ambiguous.tolist() == [False, True, False, False]
    assert found.look_alikes.tolist() == [False, False, True, False]


def test_an_ambiguous_object_excuses_one_detection_and_no_second() -> None:
    assert of([(0, 0, 0.9), (1, 0, 0.8)], ambiguous=[(0, 0)]).ambiguous.tolist() == [True, False]


def test_beyond_the_radius_nothing_matches() -> None:
    found = of([(11, 0, 0.9)], figures=[(0, 0)], ambiguous=[(0, 0)], look_alikes=[(0, 0)])
    assert not (found.hits | found.ambiguous | found.look_alikes).any()


def test_without_detections_or_objects() -> None:
    assert of([]).hits.shape == (0,)
    assert not of([(0, 0, 0.5)]).hits.any()
