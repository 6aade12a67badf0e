"""What holds of aggregated labels, agreement and audits whatever was drawn."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serving.datasets.store import Box
from tests.unit.serving.datasets.pictures import picture
from tests.unit.training.labels.looks import looks
from training.labels.agreement import agreement, fleiss_kappa
from training.labels.consensus import CROWD, EXPERT, RULES, Rule, label_tile
from training.labels.labelers import EXPERT_LABELERS, Boxes, answer_parts, draw_boxes

pytestmark = pytest.mark.property

TILE = picture([], name="a")


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    # Few places, so that overlaps, equal boxes and shared edges are common.
    x, y = draw(st.integers(-2, 30)) * 10, draw(st.integers(0, 4)) * 10
    return (x, y, x + draw(st.sampled_from([15, 30, 60])), y + draw(st.sampled_from([15, 30])))


crowds = st.lists(st.lists(boxes(), max_size=5), min_size=1, max_size=8)
rules = st.builds(
    replace, st.sampled_from([CROWD, EXPERT]), min_reviewers=st.integers(1, 6), above_iou=st.sampled_from([0.0, 0.3])
)


@given(crowds, rules, st.randoms(use_true_random=False))
def test_the_order_of_records_and_boxes_changes_nothing(
    drawn: list[list[Box]], rule: Rule, shuffle: random.Random
) -> None:
    records = looks(*drawn, group=rule.group)
    mixed = [r.model_copy(update={"boxes": tuple(shuffle.sample(r.boxes, len(r.boxes)))}) for r in records]
    shuffle.shuffle(mixed)
    assert label_tile(TILE, mixed, rule) == label_tile(TILE, records, rule)


@given(crowds, rules, st.randoms(use_true_random=False))
def test_who_drew_a_box_changes_nothing_but_names(drawn: list[list[Box]], rule: Rule, shuffle: random.Random) -> None:
    others = shuffle.sample(drawn, len(drawn))
    first, second = (label_tile(TILE, looks(*d, group=rule.group), rule) for d in (drawn, others))
    assert [a.agreement for a in first.annotations] == pytest.approx([a.agreement for a in second.annotations])
    assert np.allclose(first.boxes(), second.boxes())
    assert np.allclose(first.ambiguous_areas, second.ambiguous_areas)


@given(crowds, rules)
def test_agreement_is_the_share_of_reviewers_who_drew_it(drawn: list[list[Box]], rule: Rule) -> None:
    result = label_tile(TILE, looks(*drawn, group=rule.group), rule)
    assert result.labelled == (len(drawn) >= rule.min_reviewers)
    for figure in result.annotations:
        assert 0 < figure.agreement <= 1
        assert len(figure.votes) == len(drawn)
        assert figure.agreement == pytest.approx(sum(v.mitotic for v in figure.votes) / len(drawn))
        assert sum(v.mitotic for v in figure.votes) >= rule.min_labelers
        assert figure.agreement > rule.above_share
        x1, y1, x2, y2 = figure.box
        assert 0 <= x1 < x2 <= TILE.width
        assert 0 <= y1 < y2 <= TILE.height


@given(st.sampled_from(sorted(RULES)), boxes(), st.integers(5, 9))
def test_a_figure_that_all_box_has_agreement_1(how: str, box: Box, labelers: int) -> None:
    rule = RULES[how]
    result = label_tile(TILE, looks(*[[box]] * labelers, group=rule.group), rule)
    if box[2] > 0:
        (figure,) = result.annotations
        assert figure.agreement == 1
        assert figure.box == pytest.approx((max(box[0], 0), *box[1:]))
    assert result.ambiguous_areas == ()


@given(st.lists(st.tuples(st.integers(2, 9), st.booleans()), min_size=2, max_size=20))
def test_kappa_of_perfect_agreement_is_1(subjects: list[tuple[int, bool]]) -> None:
    assume(len({category for _, category in subjects}) == 2)
    counts = np.asarray([(raters * (not category), raters * category) for raters, category in subjects])
    assert fleiss_kappa(counts) == pytest.approx(1)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=12))
def test_kappa_is_at_most_1_and_blind_to_order(rows: list[list[int]]) -> None:
    counts = np.asarray(rows)
    kappa = fleiss_kappa(counts)
    assert np.isnan(kappa) or -1 <= kappa <= 1 + 1e-9
    assert fleiss_kappa(counts[::-1, ::-1]) == pytest.approx(kappa, nan_ok=True)


@given(st.sets(st.integers(0, 99), max_size=12), st.sets(st.integers(0, 99), max_size=12), st.integers(0, 2**32 - 1))
def test_labelers_without_errors_give_back_the_truth(figures: set[int], others: set[int], seed: int) -> None:
    def cells(places: set[int]) -> Boxes:
        corners = [(100 * (n % 10) + 30, 100 * (n // 10) + 20) for n in sorted(places)]
        return np.asarray([(x, y, x + 40, y + 35) for x, y in corners], np.float32).reshape(-1, 4)

    truth, lookalikes = cells(figures), cells(others - figures)
    sure = replace(EXPERT_LABELERS, finds=1.0, fooled=0.0, jitter_px=0.0)
    rng = np.random.default_rng(seed)
    drawn = draw_boxes(TILE, truth, lookalikes, sure, rng)
    answers = answer_parts(TILE, truth, lookalikes, sure, rng)
    result = label_tile(TILE, drawn, EXPERT)
    assert sorted(map(tuple, result.boxes().tolist())) == sorted(map(tuple, truth.tolist()))
    assert (result.agreements() == 1).all()
    assert result.ambiguous_areas == ()
    for found in agreement([*drawn, *answers]):
        assert found.accuracy == 1
        assert np.isnan(found.kappa) or found.kappa == pytest.approx(1)
