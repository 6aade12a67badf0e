"""Judging a cascade: the rule of the screening threshold, and that nothing is computed twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import DOT_PX, DotDetector, make_verifier_card, plant, tissue
from training.data.icpr2012 import SLIDES, Field
from training.evaluation import leave_one_slide_out as loso
from training.export.drafts import Remembering

SIDE = 500


def _field(slide: str, *dots: tuple[float, float]) -> Field:
    pixels = tissue(SIDE, SIDE)
    half = DOT_PX / 2
    for x, y in dots:
        plant(pixels, x, y)
    boxes = np.asarray([(x - half, y - half, x + half, y + half) for x, y in dots], np.float32)
    return Field(f"{slide}_00", slide, 0.25, pixels, boxes.reshape(-1, 4), np.zeros((0, 4), np.float32))


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> DotDetector:
    """Stands for the models of every run; each slide has two figures."""
    detector = DotDetector(verification_card=make_verifier_card())
    memory = Remembering.of(detector)
    monkeypatch.setattr(loso, "data_root", Path)
    monkeypatch.setattr(loso, "read_fields", lambda root: [_field(s, (150, 160), (340, 300)) for s in SLIDES])
    monkeypatch.setattr(loso, "_detectors", lambda *runs: dict.fromkeys(SLIDES, memory))
    return detector


def test_the_highest_screening_that_costs_nothing_is_chosen(dots: DotDetector, tmp_path: Path) -> None:
    result = loso.leave_one_slide_out(
        Path(), [Path()], tmp_path / "e.json", screening=[9.0, 0.9, 0.1], say=lambda _: None
    )
    assert result.screening_threshold == 0.9
    assert (result.f1, result.candidate_recall) == (1.0, 1.0)
    assert result.average_precision == pytest.approx(1.0)
    assert 0 < result.det_windows_share < 0.9
    assert result.regns_tpr > result.regns_fpr
    assert [row.true_figures for row in result.per_slide] == [2, 2, 2]
    stated = json.loads((tmp_path / "e.json").read_text())
    assert (stated["screening_threshold"], stated["whole_tile"]) == (0.9, False)


def test_thresholds_share_what_the_models_said(dots: DotDetector, tmp_path: Path) -> None:
    def judge(*screening: float) -> None:
        out = tmp_path / "e.json"
        loso.leave_one_slide_out(Path(), [Path()], out, screening=screening, say=lambda _: None)

    judge(0.1)
    once = (dots.screened, dots.detected, dots.verified)
    judge(0.1, 0.9)
    assert (dots.screened, dots.detected, dots.verified) == once
