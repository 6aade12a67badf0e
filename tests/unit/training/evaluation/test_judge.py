"""A judgement cannot flatter: what is chosen for a group is chosen on others, and what is ambiguous counts for nothing."""

from dataclasses import replace

import numpy as np
import pytest

from serving.evaluation.metrics import rates
from serving.evaluation.ranking import Ranking
from serving.evaluation.threshold_rules import THRESHOLD_RULES
from training.evaluation.choice import choose
from training.evaluation.judge import judge
from training.evaluation.judged_pictures import JudgedPicture, PooledDetections


def picture(group: str, *, source: str = "one", shift: float = 0.0, seed: int = 0, number: int = 0) -> JudgedPicture:
    """Twelve figures of which ten are found, forty false detections with lower scores, five of them marked look-alikes."""
    rng = np.random.default_rng([seed, number, *group.encode()])
    places = rng.permutation(400)[:52]
    grid = np.stack([places % 20, places // 20], 1) * 100.0
    figures, false = grid[:12], grid[12:]
    z = np.concatenate([rng.normal(1.5, 1, 10), rng.normal(-2, 1, 40)]) + shift
    return JudgedPicture(
        name=f"{group}-{number}",
        source=source,
        group=group,
        area_mm2=0.25,
        mpp=0.25,
        figures=figures,
        detections=np.vstack([figures[:10] + 3, false]),
        scores=1 / (1 + np.exp(-2 * z)),
        look_alikes=false[:5],
    )


def several() -> list[JudgedPicture]:
    return [picture(g, source="one" if g < "c" else "two", number=n) for g in "abcd" for n in range(2)]


def test_figures_are_those_of_each_group_at_the_threshold_of_the_others() -> None:
    pictures = several()
    judged = judge(pictures, draws=50, calibration="none")
    assert [row.fold for row in judged.folds] == list("abcd")
    for row in judged.folds:
        assert row.groups == [row.fold]
        assert set(row.chosen_on) == set("abcd") - {row.fold}
        others = PooledDetections.from_pictures([p for p in pictures if p.group != row.fold])
        assert row.threshold == choose(others, calibration="none").threshold
        counted = rates([p.to_field_detections() for p in pictures if p.group == row.fold], row.threshold)
        of = next(g for g in judged.pooled.groups if g.group == row.fold)
        assert (of.true_positives, of.false_positives) == (counted.true_positives, counted.false_positives)
        assert of.f1 == pytest.approx(counted.f1)
    assert judged.pooled.figures == 96
    assert [s.name for s in judged.sources] == ["one", "two"]
    assert sum(s.figures for s in judged.sources) == 96


def test_a_group_has_no_say_in_what_is_chosen_for_it() -> None:
    """Its labels and scores may be anything: its threshold and calibration stay as they were, and the others' move."""
    pictures = several()
    wrong = [
        replace(p, figures=[(5.0, 5.0)], scores=1 - np.asarray(p.scores)) if p.group == "a" else p for p in pictures
    ]
    before, after = (judge(p, draws=20) for p in (pictures, wrong))
    own = [next(f for f in j.folds if f.fold == "a") for j in (before, after)]
    assert own[0] == own[1]
    others = [[f for f in j.folds if f.fold != "a"] for j in (before, after)]
    assert others[0] != others[1]


def test_a_scanner_with_higher_scores_is_not_judged_by_a_threshold_of_its_own() -> None:
    """A shifted group is perfectly separable by itself; judged by others' threshold it is full of false figures."""
    pictures = [*several(), picture("e", shift=4.0)]
    group = next(g for g in judge(pictures, draws=20).pooled.groups if g.group == "e")
    assert group.average_precision is not None
    assert group.precision is not None
    assert group.average_precision > 0.75
    assert group.precision < 0.4


def test_what_is_ambiguous_counts_for_nothing() -> None:
    pictures = several()
    more = [
        replace(
            p,
            ambiguous=[(5000.0, 50.0 * i) for i in range(8)],
            detections=np.vstack([p.detections, [(5000.0, 50.0 * i) for i in range(4)]]),
            scores=np.append(np.asarray(p.scores), [0.99, 0.7, 0.4, 0.1]),
        )
        for p in pictures
    ]
    plain, other = judge(pictures, draws=20), judge(more, draws=20)
    assert other.pooled.ambiguous == 64
    assert other.pooled.model_dump(exclude={"ambiguous"}) == plain.pooled.model_dump(exclude={"ambiguous"})
    assert other.folds == plain.folds


def test_marked_look_alikes_that_count_are_a_share_of_all_marked() -> None:
    perfect = replace(picture("a"), scores=[0.9] * 10 + [0.9] * 2 + [0.01] * 38)
    judged = judge([perfect, *several()[2:]], draws=20)
    group = judged.pooled.groups[0]
    assert (group.look_alikes, group.look_alikes_taken) == (5, 2)


def test_a_detection_near_a_look_alike_beside_a_figure_is_the_figure() -> None:
    near = replace(picture("a"), look_alikes=np.asarray(picture("a").figures) + 2)
    group = judge([near, *several()[2:]], draws=20).pooled.groups[0]
    assert group.true_positives > 0
    assert group.look_alikes_taken == 0


def test_counts_and_their_intervals() -> None:
    judged = judge(several(), draws=20)
    for group in judged.pooled.groups:
        count = group.count
        assert count.counted == group.true_positives + group.false_positives
        assert count.expected_low <= count.expected <= count.expected_high
        assert count.expected == pytest.approx(group.figures, rel=0.25)
    assert judged.pooled.expected_covered == 4
    assert all(row.count_factor >= 1 for row in judged.folds)


def test_a_shifted_group_widens_the_interval_of_the_expected_count() -> None:
    even, uneven = several(), [*several(), *(picture("e", shift=3.0, number=n) for n in range(2))]
    assert judge(uneven, draws=20).release.count_spread > judge(even, draws=20).release.count_spread


def test_thresholds_moved_are_the_threshold_given() -> None:
    judged = judge(several(), draws=20)
    middle = next(p for p in judged.pooled.flatness.curve if p.moved == 0)
    assert middle.f1 == judged.pooled.f1.value
    assert judged.pooled.flatness.largest_change is not None
    assert judged.pooled.best_f1 is not None
    assert judged.pooled.f1.value is not None
    assert judged.pooled.best_f1 >= judged.pooled.f1.value - 0.1


def test_a_fold_may_hold_several_groups_and_no_group_two_folds() -> None:
    pictures = [replace(p, fold="1" if p.group < "c" else "2") for p in several()]
    assert [row.groups for row in judge(pictures, draws=20).folds] == [["a", "b"], ["c", "d"]]
    with pytest.raises(ValueError, match="group d is in the folds 2 and 1"):
        judge([*pictures[:-1], replace(pictures[-1], fold="1")])


def test_what_cannot_be_judged_says_why() -> None:
    pictures = several()
    with pytest.raises(ValueError, match="one fold"):
        judge(pictures[:2])
    with pytest.raises(ValueError, match="no pictures"):
        judge([])
    with pytest.raises(ValueError, match="comes twice"):
        judge([*pictures, pictures[0]])
    with pytest.raises(ValueError, match="there are best-f1, flat-f1"):
        judge(pictures, rule="youden")
    with pytest.raises(ValueError, match="automatic, none, temperature"):
        judge(pictures, calibration="vector")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [0.5]}, "one for each"),
        ({"scores": [1.5] * 50}, r"not in 0\.\.1"),
        ({"scores": [float("nan")] * 50}, r"not in 0\.\.1"),
        ({"figures": [1.0, 2.0, 3.0]}, r"shape \(N, 2\)"),
        ({"figures": [(float("inf"), 0.0)]}, "finite"),
        ({"mpp": 0.0}, "mpp"),
        ({"area_mm2": float("nan")}, "area_mm2"),
    ],
)
def test_a_picture_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(picture("a"), **change)  # type: ignore[arg-type]


def test_pictures_without_figures_or_detections() -> None:
    empty = JudgedPicture("e", "three", "e", 0.25, 0.25, [], [], [])
    judged = judge([*several(), empty], draws=20)
    assert judged.sources[1].name == "three"
    assert judged.sources[1].f1.value is None
    assert judged.pooled.f1.value is not None
    nothing = judge([empty, replace(empty, name="f", group="f", fold="f")], draws=20)
    assert nothing.pooled.f1.value is None


def test_a_new_rule_needs_no_other_module() -> None:
    @THRESHOLD_RULES.register("half")
    def half(ranking: Ranking) -> float:
        return 0.5

    try:
        assert {row.threshold for row in judge(several(), rule="half", draws=20).folds} == {0.5}
    finally:
        THRESHOLD_RULES.remove("half")
