"""Rates, the choice of a threshold, and the evaluation of a served report."""

import json
from pathlib import Path

import numpy as np
import pytest

from serving.evaluation.metrics import FieldDetections, bootstrap_f1, rates
from serving.evaluation.ranking import rank
from serving.evaluation.threshold_rules import best_f1
from serving.exports import write_all
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue
from training.evaluation.served_analysis import read_with_truth, slide_rates


def find(probabilities: list[float], hits: list[bool], misses: int = 0) -> FieldDetections:
    """Detections 100 px apart, those that hit with a figure 5 px beside, and figures that nothing found."""
    centres = np.asarray([(100.0 * i, 0.0) for i in range(len(hits))], np.float32).reshape(-1, 2)
    truth = [(x + 5, y) for (x, y), hit in zip(centres.tolist(), hits, strict=True) if hit]
    truth += [(100.0 * i, 900.0) for i in range(misses)]
    p = np.asarray(probabilities, np.float32)
    return FieldDetections("f", "g", 0.25, centres, p, p, np.asarray(truth, np.float32).reshape(-1, 2))


def test_rates_count_hits_false_alarms_and_misses() -> None:
    counted = rates([find([0.9, 0.8, 0.2], [True, False, True], misses=1)], 0.5)
    assert (counted.true_positives, counted.false_positives, counted.false_negatives) == (1, 1, 2)
    assert counted.precision == pytest.approx(0.5)
    assert counted.recall == pytest.approx(1 / 3)
    assert counted.f1 == pytest.approx(0.4)


def test_two_detections_of_one_figure_are_one_hit_and_one_false_alarm() -> None:
    f = find([0.9, 0.9], [True, False])
    close = FieldDetections("f", "g", 0.25, f.centres * 0.1, f.probabilities, f.scores, f.truth)
    counted = rates([close], 0.5)
    assert (counted.true_positives, counted.false_positives) == (1, 1)


def test_beyond_the_radius_is_no_hit() -> None:
    f = find([0.9], [True])
    assert rates([f], 0.5).true_positives == 1
    far = FieldDetections("f", "g", 0.25, f.centres + 31, f.probabilities, f.scores, f.truth)
    assert rates([far], 0.5).true_positives == 0


def test_best_threshold_separates() -> None:
    threshold = best_f1(rank([find([0.9, 0.8, 0.3, 0.2], [True, True, False, False])]))
    assert rates([find([0.9, 0.8, 0.3, 0.2], [True, True, False, False])], threshold).f1 == 1.0


def test_interval_holds_the_figure_and_is_deterministic() -> None:
    fields = [find([0.9], [True], misses=i % 2) for i in range(8)]
    low, high = bootstrap_f1(fields, 0.5)
    assert low <= rates(fields, 0.5).f1 <= high
    assert (low, high) == bootstrap_f1(fields, 0.5)


def test_a_served_report_against_its_truth(tmp_path: Path) -> None:
    pixels = tissue(1200, 800)
    for x, y in ((300, 300), (700, 500)):
        plant(pixels, x, y)
    write_all(score_slide(ArraySlide(pixels, mpp=0.25), DotDetector()), tmp_path)
    boxes = [[288, 288, 312, 312], [100, 100, 124, 124]]
    truth = tmp_path / "t.json"
    truth.write_text(json.dumps({"width": 1200, "height": 800, "mitotic_figures": boxes}))
    counted = slide_rates(*read_with_truth(tmp_path / "report.json", truth))
    assert (counted.true_positives, counted.false_positives, counted.false_negatives) == (1, 1, 1)
    truth.write_text(json.dumps({"width": 9, "height": 800, "mitotic_figures": boxes}))
    with pytest.raises(ValueError, match="size"):
        slide_rates(*read_with_truth(tmp_path / "report.json", truth))
