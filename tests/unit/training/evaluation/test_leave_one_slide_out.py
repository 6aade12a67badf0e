"""Judging a cascade: the rule of the screening threshold, and that nothing is computed twice."""

import json
from pathlib import Path

import pytest
from PIL import Image

from serving.datasets.store import Dataset
from tests.fakes import DOT_PX, DotDetector, make_verifier_card, plant, tissue
from tests.unit.serving.datasets.pictures import picture
from training.evaluation import leave_one_slide_out as loso
from training.evaluation.caching_detector import CachingDetector

SIDE = 500


PATIENTS = ("A00", "A02", "A03")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A picture a patient, with two figures each."""
    pictures = []
    for patient in PATIENTS:
        pixels = tissue(SIDE, SIDE)
        dots = ((150, 160), (340, 300))
        for x, y in dots:
            plant(pixels, x, y)
        Image.fromarray(pixels).save(tmp_path / f"{patient}.png")
        half = DOT_PX / 2
        boxes = [(x - half, y - half, x + half, y + half) for x, y in dots]
        pictures.append(picture(boxes, name=patient, patient=patient, size=(SIDE, SIDE)))
    return Dataset(name="dots", format="test", licence="none", root=str(tmp_path), pictures=tuple(pictures))


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> DotDetector:
    """Stands for the models of every run."""
    detector = DotDetector(verification_card=make_verifier_card())
    memory = CachingDetector.from_detector(detector)
    monkeypatch.setattr(loso, "_detectors", lambda *runs: dict.fromkeys(PATIENTS, memory))
    return detector


def test_the_highest_screening_that_costs_nothing_is_chosen(
    dots: DotDetector, dataset: Dataset, tmp_path: Path
) -> None:
    result = loso.leave_one_slide_out(
        Path(), [Path()], dataset, tmp_path / "e.json", screening=[9.0, 0.9, 0.1], say=lambda _: None
    )
    assert result.screening_threshold == 0.9
    assert (result.f1, result.candidate_recall) == (1.0, 1.0)
    assert result.average_precision == pytest.approx(1.0)
    assert 0 < result.det_windows_share < 0.9
    assert result.regns_tpr > result.regns_fpr
    assert [row.true_figures for row in result.per_slide] == [2, 2, 2]
    stated = json.loads((tmp_path / "e.json").read_text())
    assert (stated["screening_threshold"], stated["whole_tile"]) == (0.9, False)


def test_thresholds_share_what_the_models_said(dots: DotDetector, dataset: Dataset, tmp_path: Path) -> None:
    def judge(*screening: float) -> None:
        out = tmp_path / "e.json"
        loso.leave_one_slide_out(Path(), [Path()], dataset, out, screening=screening, say=lambda _: None)

    judge(0.1)
    once = (dots.screened, dots.detected, dots.verified)
    judge(0.1, 0.9)
    assert (dots.screened, dots.detected, dots.verified) == once
