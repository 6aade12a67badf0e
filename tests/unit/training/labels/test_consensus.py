from dataclasses import replace

import pytest

from serving.datasets.store import Box, Dataset
from tests.unit.serving.datasets.pictures import picture
from tests.unit.training.labels.looks import looks
from training.labels.consensus import CROWD, EXPERT, aggregate, label_tile, summary_lines

TILE = picture([(1, 1, 5, 5)], name="a")
CELL: Box = (100, 100, 140, 140)
NEAR: Box = (110, 104, 150, 144)
FAR: Box = (600, 600, 630, 630)


def test_two_labelers_of_five_make_a_figure_of_agreement_two_fifths() -> None:
    result = label_tile(TILE, looks([CELL], [NEAR], [], [], []), CROWD)
    (figure,) = result.annotations
    assert figure.box == (105, 102, 145, 142)
    assert figure.agreement == pytest.approx(0.4)
    assert [(v.rater, v.mitotic) for v in figure.votes] == [(f"L{n}", n < 2) for n in range(5)]
    assert result.ambiguous_areas == ()
    assert result.labelled


def test_what_one_labeler_drew_is_ambiguous() -> None:
    result = label_tile(TILE, looks([CELL, FAR], [NEAR], [], [], []), CROWD)
    assert len(result.annotations) == 1
    assert result.ambiguous_areas == (FAR,)


def test_fewer_than_five_reviewers_leave_a_tile_unlabelled() -> None:
    result = label_tile(TILE, looks([CELL], [CELL], [CELL], [CELL]), CROWD)
    assert not result.labelled
    assert not result.annotations
    assert not result.ambiguous_areas
    # Experts' records are no crowd's.
    mixed = [*looks([CELL], [CELL]), *looks([CELL], [CELL], [CELL], group="expert")]
    assert not label_tile(TILE, mixed, CROWD).labelled


def test_two_boxes_of_one_labeler_count_once() -> None:
    alone = label_tile(TILE, looks([CELL, NEAR], [], [], [], []), CROWD)
    assert alone.annotations == ()
    assert alone.ambiguous_areas == ((105, 102, 145, 142),)
    with_another = label_tile(TILE, looks([CELL, NEAR], [NEAR], [], [], []), CROWD).annotations[0]
    assert with_another.agreement == pytest.approx(0.4)
    assert with_another.box == pytest.approx((107.5, 103, 147.5, 143))


def test_boxes_that_only_touch_are_two_places() -> None:
    beside: Box = (140, 100, 180, 140)
    assert len(label_tile(TILE, looks([CELL], [CELL], [beside], [beside], []), CROWD).annotations) == 2


def test_the_overlap_that_joins_is_configurable() -> None:
    # IoU of the two is 30 x 36 / (2 x 1600 - 1080) = .509.
    drawn = looks([CELL], [NEAR], [], [], [])
    assert len(label_tile(TILE, drawn, replace(CROWD, above_iou=0.5)).annotations) == 1
    strict = label_tile(TILE, drawn, replace(CROWD, above_iou=0.52))
    assert (len(strict.annotations), len(strict.ambiguous_areas)) == (0, 2)


def test_experts_keep_what_more_than_half_drew() -> None:
    def kept(*drawn: list[Box]) -> int:
        return len(label_tile(TILE, looks(*drawn, group="expert"), EXPERT).annotations)

    assert kept([CELL], [NEAR], [CELL], [], []) == 1
    assert kept([CELL], [NEAR], [], [], []) == 0
    assert kept([CELL], [NEAR], [], []) == 0  # a tie is no majority
    figure = label_tile(TILE, looks([CELL], [NEAR], [], group="expert"), EXPERT).annotations[0]
    assert figure.box == (105, 102, 145, 142)  # of those who drew it
    assert figure.agreement == pytest.approx(2 / 3)


def test_boxes_are_cut_at_the_tiles_edge() -> None:
    over: Box = (980, -10, 1020, 30)
    figure = label_tile(TILE, looks([over], [over], [], [], []), CROWD).annotations[0]
    assert figure.box == (980, 0, 1000, 30)


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one reviewer"):
        replace(CROWD, min_reviewers=0)
    with pytest.raises(ValueError, match="from 0 to below 1"):
        replace(CROWD, above_iou=1.0)


def test_aggregation_labels_each_tile_by_its_own_records() -> None:
    tiles = Dataset(
        name="t",
        format="t",
        licence="t",
        root=".",
        pictures=(TILE, picture([], name="b", patient="Q"), picture([], name="c", patient="Q")),
    )
    records = [*looks([CELL], [NEAR], [FAR], [], []), *looks([], [], [], [], [], tile="b")]
    a, b, c = aggregate(tiles, records, CROWD).pictures
    assert (len(a.annotations), len(a.ambiguous_areas)) == (1, 1)
    assert (b.labelled, b.annotations) == (True, ())
    assert not c.labelled
    lines = summary_lines(aggregate(tiles, records, CROWD))
    counts = {line.split("  ")[-1]: int(line.split()[0]) for line in lines}
    assert counts == {
        "tiles": 3,
        "tiles reviewed by enough labelers": 2,
        "mitotic tiles": 1,
        "mitotic figures": 1,
        "ambiguous areas": 1,
        "patients": 2,
    }
    with pytest.raises(ValueError, match="none of 10 records holds boxes of the expert"):
        aggregate(tiles, records, EXPERT)
