"""Quality control of whole slides, from pixels to the report: generated artefacts with their truth, and real tissue."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.core.report_parts import Quality
from serving.quality.density import WHOLE
from serving.quality.quality_check import QUALITY_CHECKS
from serving.quality.quality_mask import QualityMask
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from serving.synthetic.artefacts import KINDS, Artefact, place_artefacts, truth_raster
from serving.synthetic.field import SyntheticTissue, everywhere
from tests.fakes import DotDetector

pytestmark = pytest.mark.integration

SIDE = 3000
TRUTH_PX = 4
LEAST_OVERLAP = {"pen": 0.85, "bubble": 0.8, "fold": 0.6, "blur": 0.6}
LEAST_PRECISION = 0.9
"""Shares of area. A fold is found where both layers are dense enough; of blur the outermost 15 um are not found."""


def _place(seed: int) -> list[Artefact]:
    def is_inside(x: float, y: float) -> bool:
        return min(x, y) >= 0 and max(x, y) < SIDE

    return place_artefacts(KINDS, seed=seed, width=SIDE, height=SIDE, is_tissue=is_inside)


def _judge(seed: int, artefacts: list[Artefact]) -> Analysis:
    drawn = SyntheticTissue(seed, 40.0, 40.0, everywhere, tuple(artefacts)).draw(Region(0, 0, SIDE, SIDE))
    return score_slide(ArraySlide(drawn, mpp=0.25), DotDetector())


def _mask(analysis: Analysis) -> QualityMask:
    assert analysis.quality is not None
    return analysis.quality


def _quality(analysis: Analysis) -> Quality:
    assert analysis.report.quality is not None
    return analysis.report.quality


def _truth(artefacts: list[Artefact], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    raster = Image.fromarray(truth_raster(artefacts, SIDE, SIDE, TRUTH_PX))
    return np.asarray(raster.resize((like.shape[1], like.shape[0]), Image.Resampling.NEAREST))


def test_each_artefact_is_found_where_it_is() -> None:
    assert tuple(QUALITY_CHECKS) == KINDS
    artefacts = _place(0)
    analysis = _judge(0, artefacts)
    found = _mask(analysis).reasons
    truth = _truth(artefacts, found)
    for number, reason in enumerate(QUALITY_CHECKS, 1):
        there, said = truth == number, found == number
        both = int((there & said).sum())
        assert both / int((there | said).sum()) > LEAST_OVERLAP[reason], reason
        assert both / int(said.sum()) > LEAST_PRECISION, reason
    areas = {area.reason: area.area_mm2 for area in _quality(analysis).areas}
    element = (SIDE * 0.25 / 1000 / found.shape[0]) ** 2
    for number, reason in enumerate(QUALITY_CHECKS, 1):
        assert areas[reason] == pytest.approx(float((found == number).sum()) * element, abs=1e-3)
    assert sum(areas.values()) - areas["background"] == pytest.approx(_quality(analysis).masked_tissue_mm2, abs=1e-3)
    assert "quality control masks" in analysis.report.warnings[-1]


def test_a_clean_slide_has_nothing_masked() -> None:
    analysis = _judge(0, [])
    assert not _mask(analysis).masked.any()
    assert _quality(analysis).masked_tissue_mm2 == 0
    assert _quality(analysis).unjudged_focus_mm2 < 0.01
    assert analysis.report.warnings == []


def test_real_fields_have_next_to_nothing_masked(shared_data: Path) -> None:
    fields = sorted((shared_data / "icpr2012" / "fields").glob("*.jpg"))[::5]
    assert len(fields) > 5
    for path in fields:
        with open_slide(path) as slide:
            quality = _quality(score_slide(slide, DotDetector(), ScoringOptions(mpp=0.2456)))
        assert quality.masked_tissue_mm2 < 0.001, path.name
        assert quality.unjudged_focus_mm2 < 0.005, path.name


@pytest.mark.parametrize("size", [(1, 1), (130, 90), (3000, 20)])
def test_any_size_is_judged(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(100, 255, (size[1], size[0], 3)).astype(np.uint8)
    analysis = score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), ScoringOptions(min_tissue_fraction=0))
    quality = _quality(analysis)
    assert sum(area.area_mm2 for area in quality.areas) <= size[0] * size[1] * (0.25 / 1000) ** 2 + 1e-3


def test_what_is_masked_does_not_depend_on_the_glass_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules look at a box around what is not glass."""
    pen = [artefact for artefact in _place(0) if artefact.kind == "pen"]
    drawn = SyntheticTissue(0, 40.0, 40.0, everywhere, tuple(pen)).draw(Region(0, 0, SIDE, SIDE))
    canvas = np.full((SIDE + 1000, SIDE + 2000, 3), 244, np.uint8)
    canvas[800 : 800 + SIDE, 1600 : 1600 + SIDE] = drawn
    found = _mask(score_slide(ArraySlide(canvas, mpp=0.25), DotDetector())).reasons
    monkeypatch.setattr("serving.quality.quality_mask._not_glass", lambda *_: WHOLE)
    assert found.any()
    assert np.array_equal(found, _mask(score_slide(ArraySlide(canvas, mpp=0.25), DotDetector())).reasons)
