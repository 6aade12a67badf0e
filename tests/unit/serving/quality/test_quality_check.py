"""A check that somebody registers masks, precedes and is named like those of this package."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from serving.core.options import ScoringOptions
from serving.quality.parts import Mask
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityCheckRegistry, QualityInputs
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

GREEN, RIM = (20, 120, 60), 32
"""Ink, and the px by which its mask is larger."""


class LeftHalf(QualityCheck):
    """The left half."""

    method = "everything on the left"

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        found = np.zeros_like(inputs.tissue)
        found[:, : found.shape[1] // 2] = True
        return found


class LeftHalfFirst(LeftHalf):
    """The left half, before all others."""

    rank = 0


class TooSmall(LeftHalf):
    """A mask of another shape."""

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        return np.ones((1, 1), np.bool_)


@contextmanager
def _registered(check: type[QualityCheck]) -> Iterator[None]:
    QUALITY_CHECKS.add("left", check)
    try:
        yield
    finally:
        QUALITY_CHECKS.remove("left")


def _score(check: type[QualityCheck], options: ScoringOptions | None = None) -> Analysis:
    """Ink on the whole upper part, and a figure below on each side."""
    pixels = tissue(1200, 1000)
    pixels[:300] = GREEN
    for x in (300, 900):
        plant(pixels, x, 700)
    with _registered(check):
        return score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), options or ScoringOptions())


def _areas(analysis: Analysis) -> dict[str, float]:
    assert analysis.report.quality is not None
    return {area.reason: area.area_mm2 for area in analysis.report.quality.areas}


def test_a_check_masks_and_is_named_after_those_before_it() -> None:
    analysis = _score(LeftHalf)
    areas, element = _areas(analysis), (0.25 / 1000) ** 2
    assert list(areas) == ["background", "pen", "bubble", "fold", "blur", "left"]
    assert areas["pen"] == pytest.approx(1200 * (300 + RIM) * element, rel=0.05)
    assert areas["left"] == pytest.approx(600 * (700 - RIM) * element, rel=0.05)
    assert analysis.report.quality is not None
    assert analysis.report.quality.methods["left"] == LeftHalf.method
    assert analysis.report.quality.figures_masked == 1


def test_its_rank_says_whose_a_place_is() -> None:
    areas, element = _areas(_score(LeftHalfFirst)), (0.25 / 1000) ** 2
    assert list(areas)[:2] == ["background", "left"]
    assert areas["left"] == pytest.approx(600 * 1000 * element, rel=0.05)
    assert areas["pen"] == pytest.approx(600 * (300 + RIM) * element, rel=0.05)


def test_what_it_masks_is_left_out() -> None:
    assert _score(LeftHalf, ScoringOptions(qc="exclude")).report.counts.mitotic_figures == 1
    assert _score(LeftHalf, ScoringOptions(qc="off")).report.counts.mitotic_figures == 2


def test_a_mask_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="the quality check left gives bool of shape"):
        _score(TooSmall)


@pytest.mark.parametrize("name", ["tissue", "background", "Pen marks", ""])
def test_a_reason_that_says_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the reason"):
        QualityCheckRegistry("quality check").add(name, LeftHalf)
