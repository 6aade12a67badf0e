from math import isnan

import numpy as np
import pytest

from tests.unit.training.labels.looks import looks
from training.labels.agreement import agreement, agreement_table, csv_rows, fleiss_kappa
from training.labels.records import BinaryRecord, Record

# 14 raters, 10 subjects, 5 categories: the worked example of https://en.wikipedia.org/wiki/Fleiss%27_kappa.
WORKED = np.asarray(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ],
    np.int64,
)


def binary(*tiles: str, seconds: float | None = 3.0) -> list[Record]:
    """A record of each answer; "yyn" is a tile to which labelers 0 and 1 say yes and 2 no, "." is no answer."""
    return [
        BinaryRecord(tile=f"t{t}", labeler=f"E{e}", group="expert", seconds=seconds, answer=answer == "y")
        for t, answers in enumerate(tiles)
        for e, answer in enumerate(answers)
        if answer != "."
    ]


def test_kappa_of_the_worked_example() -> None:
    assert fleiss_kappa(WORKED) == pytest.approx(0.210, abs=5e-4)


def test_kappa_by_hand_with_unequal_numbers_of_raters() -> None:
    # P: (1, 1/3, 1) of subjects with 2, 3 and 2 raters. Shares of category 0: (1, 2/3, 0), mean 5/9.
    chance = (5 / 9) ** 2 + (4 / 9) ** 2
    expected = (7 / 9 - chance) / (1 - chance)
    assert fleiss_kappa(np.asarray([[2, 0], [2, 1], [0, 2]])) == pytest.approx(expected)
    # One rater alone says nothing of agreement.
    assert fleiss_kappa(np.asarray([[2, 0], [2, 1], [0, 2], [1, 0]])) == pytest.approx(expected)


@pytest.mark.parametrize("counts", [np.empty((0, 2)), np.asarray([[5, 0], [5, 0]]), np.asarray([[1, 0], [0, 1]])])
def test_kappa_is_undefined_without_variation(counts: np.ndarray) -> None:
    assert isnan(fleiss_kappa(counts.astype(np.int64)))


def test_figures_of_each_group_and_task() -> None:
    drawn = looks([(1, 1, 9, 9)], [], [(1, 1, 9, 9), (50, 50, 60, 60)], group="expert")
    first, second = agreement([*binary("yyy", "nnn", "yyn"), *drawn])
    assert (first.task, first.labelers, first.tiles, first.looks, first.tiles_px) == ("binary", 3, 3, 9, (250,))
    assert first.seconds == 3
    assert first.for_reference == 48  # 16 tiles of 250 px fill one of 1,000 px
    assert first.accuracy == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert first.kappa == pytest.approx((7 / 9 - (25 + 16) / 81) / (1 - (25 + 16) / 81))
    assert (second.task, second.labelers, second.tiles, second.tiles_px) == ("boxes", 3, 1, (1000,))
    assert second.accuracy == pytest.approx(2 / 3)
    assert isnan(second.seconds)


def test_ties_and_lonely_answers_have_no_majority() -> None:
    # Tile 0 is a tie, tile 1 has one answer; on tile 2 labeler 0 alone is wrong.
    (found,) = agreement(binary("yn.", "y..", "nyy"))
    assert found.accuracy == pytest.approx(2 / 3)
    assert isnan(agreement(binary("yn", "y."))[0].accuracy)


def test_the_table_stands_beside_the_papers() -> None:
    found = agreement([*binary("yyy", "nnn", "yyn"), *looks([], [])])
    text = agreement_table(found).markdown()
    assert "| binary classification | 250 | 3 | 3 | 9 | 0.550 (0.709) | 3.0 (2.7) | 48 | 88.9% (89.0%) |" in text
    assert "| crowd | bounding box placement | 1,000 | 2 | 1 | 2 | n/a | n/a | n/a | 100.0% |" in text
    header, crowd, expert = csv_rows(found)
    assert dict(zip(header, crowd, strict=True))["paper_kappa"] == dict(zip(header, crowd, strict=True))["kappa"] == ""
    assert dict(zip(header, expert, strict=True))["paper_kappa"] == 0.709
