import numpy as np
import pytest

from serving.evaluation.metrics import rates
from tests.unit.training.evaluation.examples import field, generate
from training.evaluation.curves import froc, precision_recall, roc

RNG = np.random.default_rng(11)
SCORES = (RNG.integers(0, 8, 60) / 8).astype(np.float32)
POSITIVES = RNG.random(60) < 0.4


def test_auc_is_the_share_of_pairs_in_order_ties_half() -> None:
    yes, no = SCORES[POSITIVES][:, None], SCORES[~POSITIVES][None]
    assert roc(SCORES, POSITIVES).auc == pytest.approx(((yes > no) + 0.5 * (yes == no)).mean())


def test_roc_points_are_the_rates_at_the_scores() -> None:
    curve = roc(SCORES, POSITIVES)
    points = {(round(x, 9), round(y, 9)) for x, y in zip(curve.fpr, curve.tpr, strict=True)}
    every = {
        (round((SCORES[~POSITIVES] >= t).mean(), 9), round((SCORES[POSITIVES] >= t).mean(), 9)) for t in (*SCORES, 2.0)
    }
    assert points <= every
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)


def test_average_precision_by_hand() -> None:
    """Recall 1/2 at precision 1, then recall 1 at precision 2/3."""
    curve = precision_recall(np.asarray([0.9, 0.8, 0.7], np.float32), np.asarray([True, False, True]))
    assert curve.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_one_class_alone_has_no_auc() -> None:
    every, none = np.ones(60, np.bool_), np.zeros(60, np.bool_)
    assert np.isnan([roc(SCORES, every).auc, roc(SCORES, none).auc]).all()
    assert np.isnan(precision_recall(SCORES, none).average_precision)
    assert precision_recall(SCORES, every).average_precision == 1
    assert not len(roc(SCORES, every).fpr)


def test_froc_by_hand() -> None:
    found = [
        field([(0, 0, 0.9), (500, 500, 0.8), (100, 0, 0.8)], [(0, 0), (100, 0)]),
        field([(0, 0, 0.5)], [(900, 900)]),
    ]
    curve = froc(found, [0.5, 1.5])
    assert curve.thresholds.tolist() == pytest.approx([0.9, 0.8, 0.5])
    assert curve.sensitivity.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert curve.false_positives.tolist() == [0, 1, 2]
    assert curve.per_mm2().tolist() == [0, 0.5, 1]
    assert curve.per_image().tolist() == [0, 0.5, 1]


def test_froc_counts_as_the_rates_do_at_every_threshold() -> None:
    found = generate()
    curve = froc(found, [0.25] * len(found))
    for threshold, sensitivity, false in zip(curve.thresholds, curve.sensitivity, curve.false_positives, strict=True):
        counted = rates(found, float(threshold))
        assert (counted.recall, counted.false_positives) == pytest.approx((sensitivity, false))


def test_froc_without_detections_or_truth() -> None:
    assert not len(froc([field([], [(0, 0)])], [1]).thresholds)
    without_truth = froc([field([(0, 0, 0.5)], [])], [1])
    assert np.isnan(without_truth.sensitivity).all()
    assert without_truth.false_positives.tolist() == [1]


@pytest.mark.parametrize("areas", [[], [0.0], [1.0, 1.0], [float("nan")]])
def test_froc_needs_the_area_of_every_field(areas: list[float]) -> None:
    with pytest.raises(ValueError, match="areas above 0"):
        froc([field([], [])], areas)
