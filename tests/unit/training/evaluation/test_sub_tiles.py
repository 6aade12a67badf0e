import numpy as np
import pytest

from training.evaluation.sub_tiles import coarsen, sub_tile_rates
from training.models.heads.boxes import DET_THRESHOLDS
from training.models.heads.scores import REG_THRESHOLDS

SCORES = np.asarray([0.9, 0.5, 0.2, 0.6, 0.1], np.float32)
POSITIVES = np.asarray([True, True, True, False, False])


def test_counts_and_rates_by_hand() -> None:
    low, high = sub_tile_rates(SCORES, POSITIVES, [0.15, 0.55])
    assert (low.true_positives, low.false_positives, low.positives, low.negatives) == (3, 1, 3, 2)
    assert (low.tpr, low.fpr) == (1.0, 0.5)
    assert (high.tpr, high.fpr) == pytest.approx((1 / 3, 0.5))


def test_a_score_equal_to_the_threshold_is_positive_also_in_single_precision() -> None:
    scores = np.asarray(REG_THRESHOLDS, np.float32)
    for threshold in np.asarray(REG_THRESHOLDS, np.float64):
        row = sub_tile_rates(scores, np.ones(len(scores), np.bool_), [threshold])[0]
        assert row.true_positives == sum(t >= threshold for t in REG_THRESHOLDS)


def test_a_rate_without_cases_is_nan() -> None:
    only_negatives = sub_tile_rates(SCORES, np.zeros(5, np.bool_), [0.5])[0]
    assert np.isnan(only_negatives.tpr)
    assert only_negatives.fpr == 0.6
    only_positives = sub_tile_rates(SCORES, np.ones(5, np.bool_), [0.5])[0]
    assert np.isnan(only_positives.fpr)
    nothing = sub_tile_rates(np.empty(0, np.float32), np.empty(0, np.bool_), [0.5])[0]
    assert np.isnan([nothing.tpr, nothing.fpr]).all()


@pytest.mark.parametrize(
    ("scores", "positives", "says"),
    [
        (SCORES, POSITIVES[:4], "one length"),
        (SCORES[None], POSITIVES[None], "flat"),
        (np.asarray([np.nan], np.float32), np.asarray([True]), "not a number"),
        (SCORES, POSITIVES.astype(np.int8), "not bool"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(scores: np.ndarray, positives: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sub_tile_rates(scores, positives, [0.5])


def test_a_sub_tile_is_positive_if_one_of_its_boxes_is() -> None:
    boxes = [np.asarray(p, np.float32) for p in ([0.1, 0.96], [], [0.94])]
    scores = coarsen(boxes)
    assert scores.tolist() == pytest.approx([0.96, 0, 0.94])
    assert scores.dtype == np.float32
    for threshold in DET_THRESHOLDS:
        one_box = [bool((p >= threshold).any()) for p in boxes]
        assert sub_tile_rates(scores, np.ones(3, np.bool_), [threshold])[0].true_positives == sum(one_box)
