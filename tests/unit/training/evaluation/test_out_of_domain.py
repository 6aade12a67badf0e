"""Recall on crops of unseen cases, and false alarms in tissue without figures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes import DotDetector, plant, tissue
from tests.unit.serving.datasets.pictures import picture
from training.data.crops import CROP_PX, CropBank
from training.evaluation.out_of_domain import FalseAlarmCount, false_alarms, recall_of_crops


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


def test_detections_at_figures_and_where_nobody_looked_are_no_false_alarms(tmp_path: Path) -> None:
    pixels = tissue(600, 500)
    for x, y in ((100, 100), (300, 250), (480, 400)):
        plant(pixels, x, y)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    # A figure at the first dot, and an area whose margin of 7.5 um reaches the second one's centre.
    known = picture([(80, 80, 120, 120)], size=(600, 500), unlabelled=((320, 230, 340, 270),))
    alarms = false_alarms(DotDetector(), [known, known], tmp_path, threshold=0.5, say=lambda _: None)["a"]
    assert alarms.detections == 2
    left_out = (40 + 60) ** 2 + (20 + 60) * (40 + 60)
    assert alarms.area_mm2 == pytest.approx(2 * (600 * 500 - left_out) * 0.00025**2, rel=1e-3)
    low, high = alarms.interval()
    assert low < alarms.per_mm2 < high


def test_no_false_alarm_still_has_an_upper_bound() -> None:
    low, high = FalseAlarmCount(0, 2.0).interval()
    # -ln(0.025) = 3.69
    assert low == 0
    assert high == pytest.approx(3.689 / 2, abs=1e-3)
