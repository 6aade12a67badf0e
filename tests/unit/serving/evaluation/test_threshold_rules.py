import numpy as np
import pytest

from serving.evaluation.ranking import Ranking, rank_scores
from serving.evaluation.threshold_rules import (
    FLAT,
    THRESHOLD_RULES,
    best_f1,
    f1_at,
    flat_f1,
    flat_group_f1,
)


def ranking(rows: list[tuple[float, bool]], figures: int, group: str = "a") -> Ranking:
    p, hits = np.asarray([p for p, _ in rows], np.float64), np.asarray([h for _, h in rows], np.bool_)
    return rank_scores(p, hits, np.full(len(rows), group), {group: figures})


SEPARABLE = ranking([(0.9, True), (0.8, True), (0.3, False), (0.2, False)], 2)


@pytest.mark.parametrize("name", list(THRESHOLD_RULES))
def test_every_rule_separates_what_can_be_separated(name: str) -> None:
    threshold = THRESHOLD_RULES[name](SEPARABLE)
    assert 0.3 < threshold <= 0.8
    assert f1_at(SEPARABLE, np.asarray([threshold]))[0] == 1


@pytest.mark.parametrize("name", list(THRESHOLD_RULES))
def test_no_rule_counts_anything_where_nothing_is_a_figure(name: str) -> None:
    assert THRESHOLD_RULES[name](ranking([], 3)) == 1
    nothing = ranking([(0.9, False)], 0)
    assert (nothing.probabilities >= THRESHOLD_RULES[name](nothing)).sum() <= 1


def test_flat_f1_takes_the_plateau_and_not_the_peak() -> None:
    """One figure more lies among false detections at .5: the best F1 is there, but .01 off it is lost."""
    rows = [(0.9, True)] * 10 + [(0.5, True)] + [(0.495, False)] * 8
    peaked = ranking(rows, 11)
    assert 0.495 < best_f1(peaked) < 0.5
    flat = flat_f1(peaked)
    assert 0.5 + FLAT < flat < 0.9
    around = f1_at(peaked, np.linspace(flat - FLAT, flat + FLAT, 21))
    assert around.max() - around.min() < 1e-9


def test_a_group_with_few_figures_has_as_much_say() -> None:
    many = [(0.9, True, "a")] * 50 + [(0.6, False, "a")] * 40
    few = [(0.5, True, "b")] * 5
    p, hits, groups = _columns(many + few)
    both = rank_scores(p, hits, groups, {"a": 50, "b": 5})
    assert flat_f1(both) > 0.6
    assert flat_group_f1(both) < 0.5


def _columns(rows: list[tuple[float, bool, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray([r[0] for r in rows]), np.asarray([r[1] for r in rows]), np.asarray([r[2] for r in rows])


def test_f1_counts_detections_at_the_threshold() -> None:
    assert f1_at(SEPARABLE, np.asarray([0.8, 0.81])).tolist() == [1.0, pytest.approx(2 / 3)]


def test_a_rule_is_one_registered_function() -> None:
    @THRESHOLD_RULES.register("always-half")
    def always_half(ranking: Ranking) -> float:
        return 0.5

    try:
        assert THRESHOLD_RULES["always-half"] is always_half
        with pytest.raises(ValueError, match="two threshold rules called always-half"):
            THRESHOLD_RULES.register("always-half")(always_half)
    finally:
        THRESHOLD_RULES.remove("always-half")
