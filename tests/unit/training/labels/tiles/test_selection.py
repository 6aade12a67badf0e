import numpy as np
import pytest

from training.labels.tiles.selection import complete_slides, crowd_reasons, expert_reasons, slide_rng

SCORES = np.asarray([0.1, 0.9, 0.2, 0.5, 0.0, 0.21])


def test_experts_get_the_highest_scores_of_a_slide() -> None:
    assert expert_reasons(SCORES, top=2) == ["", "top 2", "", "top 2", "", ""]
    assert expert_reasons(SCORES, top=800) == ["top 800"] * 6
    assert expert_reasons(np.zeros(3), top=1) == ["top 1", "", ""]
    assert expert_reasons(np.empty(0), top=5) == []


def test_the_crowd_gets_what_scores_over_the_threshold_and_a_share_of_the_rest() -> None:
    scores = np.concatenate([SCORES, np.full(97, 0.05)])
    reasons = crowd_reasons(scores, complete=False, threshold=0.2, rest=0.1, rng=slide_rng(0, "a.svs"))
    assert [i for i, r in enumerate(reasons) if r == "score > 0.2"] == [1, 3, 5]
    assert reasons.count("random 10% of the rest") == 10
    assert reasons.count("") == 90


def test_of_a_complete_slide_the_crowd_gets_everything() -> None:
    reasons = crowd_reasons(SCORES, complete=True, threshold=0.2, rest=0.1, rng=slide_rng(0, "a.svs"))
    assert reasons == ["complete slide"] * 6


def test_chance_depends_on_seed_and_slide_alone() -> None:
    def drawn(seed: int, name: str) -> list[str]:
        return crowd_reasons(np.zeros(200), complete=False, threshold=0.2, rest=0.1, rng=slide_rng(seed, name))

    assert drawn(0, "a") == drawn(0, "a")
    assert drawn(0, "a") != drawn(0, "b")
    assert drawn(0, "a") != drawn(1, "a")


def test_complete_slides_are_drawn_by_seed_whatever_the_order_of_the_names() -> None:
    names = [f"{i}.svs" for i in range(70)]
    chosen = complete_slides(names, count=10, seed=4)
    assert len(chosen) == 10
    assert chosen == complete_slides(names[::-1], count=10, seed=4)
    assert chosen != complete_slides(names, count=10, seed=5)
    with pytest.raises(ValueError, match="3 complete slides asked for, 2 were given"):
        complete_slides(["a", "b"], count=3, seed=0)
