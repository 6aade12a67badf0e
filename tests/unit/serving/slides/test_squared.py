"""Slides whose pixels are not square are scored, exported and shown in square ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.errors import RequestError, ResolutionError
from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.core.pixelsize import PixelSize, parse_mpp
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import open_isolated
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.report_identity import answers
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from serving.slides.resample import Pixels
from serving.slides.squared import SquareSlide, with_square_pixels
from tests.examples import draw_examples
from tests.fakes import DotDetector, plant, tissue
from tests.field_files import scale_pixels, tiff

WIDTH, HEIGHT = 1200, 1000
FIGURES = [(200, 300), (620, 500), (900, 820)]
SCALES = [(1.0, 0.5), (0.5, 1.0), (1.0, 0.7)]
"""Px of the file for each of 0.25 um along x and y."""


@pytest.fixture(scope="module")
def field() -> Pixels:
    pixels = np.full((HEIGHT, WIDTH, 3), 245, np.uint8)
    pixels[100:, 100:] = tissue(WIDTH - 100, HEIGHT - 100)
    for x, y in FIGURES:
        plant(pixels, x, y)
    return pixels


def centres(report: Report) -> np.ndarray:
    found = [(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections]
    return np.asarray(sorted(found)).reshape(-1, 2)


def assert_same(analysis: Analysis, reference: Report) -> None:
    report = analysis.report
    assert len(report.detections) == len(FIGURES)
    assert np.abs(centres(report) * report.slide.mpp - centres(reference) * 0.25).max() < 1  # um
    assert report.counts.tissue_area_mm2 == pytest.approx(reference.counts.tissue_area_mm2, rel=0.02)
    assert report.counts.mitotic_figures == reference.counts.mitotic_figures


@pytest.mark.parametrize("scale", SCALES)
def test_figures_tissue_and_centres_are_those_of_square_pixels(field: Pixels, scale: tuple[float, float]) -> None:
    reference = score_slide(ArraySlide(field, mpp=0.25), DotDetector()).report
    size = 0.25 / scale[0], 0.25 / scale[1]
    stored = ArraySlide(scale_pixels(field, scale), mpp=size)
    slide = with_square_pixels(stored, stored.pixel_size)
    analysis = score_slide(slide, DotDetector())
    assert_same(analysis, reference)
    assert any("not square" in warning for warning in analysis.report.warnings)
    given_by_caller = score_slide(
        ArraySlide(scale_pixels(field, scale), mpp=None), DotDetector(), ScoringOptions(mpp=size)
    )
    assert_same(given_by_caller, reference)
    overridden = score_slide(slide, DotDetector(), ScoringOptions(mpp=size))
    assert_same(overridden, reference)
    assert overridden.report.analysis_id != analysis.report.analysis_id
    cards = (DotDetector().screening_card, DotDetector().detection_card)
    assert answers(overridden.report, ScoringOptions(mpp=size), cards)
    assert not answers(overridden.report, ScoringOptions(mpp=0.25), cards)


def test_files_that_other_programs_read_are_in_px_of_the_file(field: Pixels, tmp_path: Path) -> None:
    path = tiff(scale=(1, 0.5), compression="deflate")(tmp_path / "a.tif", field)
    with open_slide(path) as slide:
        assert (slide.width, slide.height, slide.stored_scale) == (WIDTH, HEIGHT, (1.0, 0.5))
        analysis = score_slide(slide, DotDetector())
    collection = json.loads(EXPORTS["geojson"].render(analysis))
    rings = [
        np.asarray(f["geometry"]["coordinates"][0])
        for f in collection["features"]
        if f["properties"]["objectType"] == "detection"
    ]
    found = np.asarray(sorted(tuple((ring.min(0) + ring.max(0)) / 2) for ring in rings))
    assert np.abs(found - np.asarray(FIGURES) * (1, 0.5)).max() < 2
    points = [
        e["center"] for e in json.loads(EXPORTS["histomicsui"].render(analysis))["elements"] if e["type"] == "point"
    ]
    assert np.abs(np.asarray(sorted(points))[:, :2] - np.asarray(FIGURES) * (1, 0.5)).max() < 2


def test_a_decoder_process_shows_the_same(field: Pixels, tmp_path: Path) -> None:
    path = tiff(scale=(0.5, 1), compression="deflate")(tmp_path / "a.tif", field)
    decoders = Decoders(DecoderLimits())
    part = Region(100, 200, 300, 250)
    with open_slide(path) as here, open_isolated(decoders, path, name="a.tif") as there:
        assert (there.pixel_size, there.stored_scale, there.notes) == (here.pixel_size, here.stored_scale, here.notes)
        assert np.array_equal(there.read(part, 300, 250), here.read(part, 300, 250))
    decoders.close()


@draw_examples(40)
@given(st.floats(0.2, 1), st.floats(0.2, 1), st.integers(40, 300), st.integers(40, 300))
def test_any_oblong_pixels_become_square(x: float, y: float, width: int, height: int) -> None:
    size = PixelSize(x, y)
    stored = ArraySlide(np.zeros((height, width, 3), np.uint8), mpp=(x, y))
    slide = with_square_pixels(stored, size)
    if max(size) > 4 * min(size):
        assert slide is stored
        with pytest.raises(ResolutionError, match="times as long"):
            score_slide(stored, DotDetector())
        return
    assert slide.pixel_size is not None
    assert slide.pixel_size.is_square
    assert slide.width * slide.pixel_size.x == pytest.approx(width * x, abs=1)
    assert slide.height * slide.pixel_size.y == pytest.approx(height * y, abs=1)
    assert (slide.read(Region(0, 0, slide.width, slide.height), 20, 20) == 0).all()
    assert isinstance(slide, SquareSlide) or size.is_square


@pytest.mark.parametrize(
    ("text", "found"),
    [("0.25", 0.25), ("0.25,0.5", (0.25, 0.5)), ("0.25 x 0.5", (0.25, 0.5)), ("0.25;0.5", (0.25, 0.5))],
)
def test_mpp_is_one_number_or_two(text: str, found: float | tuple[float, float]) -> None:
    assert parse_mpp(text) == found


@given(st.text(max_size=12).filter(lambda text: not any(letter.isdigit() for letter in text)))
def test_other_text_is_no_mpp(text: str) -> None:
    with pytest.raises(RequestError, match="no positive number"):
        parse_mpp(text)


@pytest.mark.parametrize("text", ["0", "-1", "0.25,0", "nan", "inf,0.25", "1,2,3", "0.25,x"])
def test_other_numbers_are_no_mpp(text: str) -> None:
    with pytest.raises(RequestError, match="no positive number"):
        parse_mpp(text)
