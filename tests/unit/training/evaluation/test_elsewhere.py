"""Recall on crops of unseen cases, and false alarms in tissue without figures."""

import numpy as np
import pytest

from tests.fakes import DotDetector, plant, tissue
from training.data.crops import CROP_PX, CropBank
from training.data.icpr2012 import Field
from training.evaluation.elsewhere import FalseAlarms, false_alarms, recall_of_crops


@pytest.fixture
def bank() -> CropBank:
    """Crops of tissue, a dot in the middle."""
    pixels = np.stack([tissue(CROP_PX, CROP_PX) for _ in range(70)])
    for crop in pixels:
        plant(crop, CROP_PX / 2, CROP_PX / 2)
    return CropBank(pixels, np.asarray([f"set/{i}" for i in range(70)]))


def test_figures_are_found_and_covered_ones_are_not_asked_for(bank: CropBank) -> None:
    counts = recall_of_crops(DotDetector(), bank, threshold=0.5, share=0.5, say=lambda _: None)
    assert (counts.false_positives, counts.false_negatives) == (0, 0)
    # 70 crops fill two tiles of 64.
    assert 40 < counts.true_positives < 90


def test_a_threshold_that_nothing_reaches_finds_nothing(bank: CropBank) -> None:
    counts = recall_of_crops(DotDetector(), bank, threshold=0.995, share=0.5, say=lambda _: None)
    assert (counts.true_positives, counts.recall) == (0, 0.0)


def test_detections_at_forbidden_areas_are_no_false_alarms() -> None:
    pixels = tissue(600, 500)
    for x, y in ((100, 100), (300, 250), (480, 400)):
        plant(pixels, x, y)
    # Paint over the first dot, and paint whose margin of 7.5 um reaches the second one's centre.
    forbidden = np.asarray([(80, 80, 120, 120), (320, 230, 340, 270)], np.float32)
    field = Field("A00_00", "A00", 0.25, pixels, np.zeros((0, 4), np.float32), forbidden)
    alarms = false_alarms(DotDetector(), [field, field], threshold=0.5, say=lambda _: None)["A00"]
    assert alarms.detections == 2
    painted = (40 + 60) ** 2 + (20 + 60) * (40 + 60)
    assert alarms.area_mm2 == pytest.approx(2 * (600 * 500 - painted) * 0.00025**2, rel=1e-3)
    low, high = alarms.interval()
    assert low < alarms.per_mm2 < high


def test_no_false_alarm_still_has_an_upper_bound() -> None:
    low, high = FalseAlarms(0, 2.0).interval()
    # -ln(0.025) = 3.69
    assert low == 0
    assert high == pytest.approx(3.689 / 2, abs=1e-3)
