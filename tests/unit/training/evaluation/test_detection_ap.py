import numpy as np
import pytest

from serving.evaluation.metrics import rates
from serving.evaluation.ranking import average_precision_by_distance
from tests.unit.training.evaluation.examples import field, generate
from training.evaluation.detection_ap import ImageBoxes, coco_ap


def boxes(*corners: tuple[float, float], side: float = 40) -> np.ndarray:
    return np.asarray([(x, y, x + side, y + side) for x, y in corners], np.float32).reshape(-1, 4)


def image(predicted: np.ndarray, probabilities: list[float], truth: np.ndarray) -> ImageBoxes:
    return ImageBoxes(predicted, np.asarray(probabilities, np.float32), truth)


NONE = boxes()


def test_coco_by_hand() -> None:
    """Precision 1 up to recall 0.5, then 2/3: of COCO's 101 recalls, 51 and 50."""
    ap = coco_ap([image(boxes((0, 0), (100, 0), (200, 0)), [0.9, 0.8, 0.7], boxes((0, 0), (200, 0)))])
    assert ap.ap_50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert ap.ap_50_95 == pytest.approx(ap.ap_50)


def test_a_shifted_box_counts_up_to_its_overlap() -> None:
    """8 px of 40 px aside: IoU 32 / 48 = 0.67, so right at 0.5, 0.55, 0.6 and 0.65 of ten overlaps."""
    ap = coco_ap([image(boxes((8, 0)), [0.9], boxes((0, 0)))])
    assert (ap.ap_50, ap.ap_50_95) == pytest.approx((1, 0.4))


def test_the_very_first_box_can_match() -> None:
    """COCOeval would overlook it if ids began at 0."""
    assert coco_ap([image(boxes((0, 0)), [0.9], boxes((0, 0)))]).ap_50_95 == pytest.approx(1)


def test_images_do_not_mix_and_false_boxes_on_empty_images_count() -> None:
    truth = boxes((0, 0))
    assert coco_ap([image(truth, [0.9], NONE), image(NONE, [], truth)]).ap_50 == 0
    assert coco_ap([image(truth, [0.9], NONE), image(truth, [0.5], truth)]).ap_50 == pytest.approx(0.5)


def test_no_detections_is_0_and_no_truth_is_undefined() -> None:
    assert coco_ap([image(NONE, [], boxes((0, 0)))]).ap_50_95 == 0
    assert np.isnan(coco_ap([image(boxes((0, 0)), [0.5], NONE)]).ap_50)
    assert np.isnan(coco_ap([]).ap_50_95)


def test_coco_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    coco_ap([image(boxes((0, 0)), [0.9], boxes((0, 0)))])
    assert capsys.readouterr() == ("", "")


def test_boxes_need_a_probability_each() -> None:
    with pytest.raises(ValueError, match=r"must be \(N, 4\)"):
        coco_ap([image(boxes((0, 0)), [], NONE)])


def test_distance_by_hand() -> None:
    """Recall 1/3 at precision 1, 2/3 at 2/3; the third figure is never found."""
    found = [field([(0, 0, 0.9), (500, 0, 0.8), (100, 0, 0.7)], [(5, 0), (105, 0), (900, 900)])]
    assert average_precision_by_distance(found) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_distance_with_ties_does_not_depend_on_their_order() -> None:
    detections = [(0.0, 0.0, 0.5), (500.0, 0.0, 0.5)]
    both = [average_precision_by_distance([field(order, [(0, 0)])]) for order in (detections, detections[::-1])]
    assert both == [pytest.approx(0.5)] * 2


def test_distance_equals_the_sum_over_all_thresholds() -> None:
    found = generate()
    total, before = 0.0, 0.0
    for threshold in np.unique(np.concatenate([f.probabilities for f in found]))[::-1]:
        counted = rates(found, float(threshold))
        total += (counted.recall - before) * counted.precision
        before = counted.recall
    assert average_precision_by_distance(found) == pytest.approx(total)


def test_distance_without_detections_or_truth() -> None:
    assert average_precision_by_distance([field([], [(0, 0)])]) == 0
    assert np.isnan(average_precision_by_distance([field([(0, 0, 0.5)], [])]))
