from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.geometry import Region, parse_roi
from serving.quality.density import WHOLE
from serving.scoring.tissue import find_tissue, segment_tissue
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from tests.examples import draw_examples
from tests.fakes import tissue
from tests.sections import KINDS, Kind, agreement, draw, fill


def _half(width: int = 2000, height: int = 1000) -> ArraySlide:
    """Tissue left, glass right."""
    pixels = np.full((height, width, 3), 245, np.uint8)
    pixels[:, : width // 2] = tissue(width // 2, height)
    return ArraySlide(pixels, mpp=0.25)


def test_tissue_and_glass_are_told_apart() -> None:
    mask = find_tissue(_half(), 0.25, None)
    assert mask.area_px == pytest.approx(1_000_000, rel=0.02)
    assert mask.fraction(Region(0, 0, 1000, 1000)) == pytest.approx(1, abs=0.02)
    assert mask.fraction(Region(1000, 0, 1000, 1000)) == pytest.approx(0, abs=0.02)
    assert mask.fraction(Region(500, 0, 1000, 1000)) == pytest.approx(0.5, abs=0.03)


def test_a_slide_that_is_all_tissue_is_all_tissue() -> None:
    assert find_tissue(ArraySlide(tissue(900, 700), mpp=0.25), 0.25, None).area_px == pytest.approx(630_000)


def test_noisy_glass_holds_no_tissue() -> None:
    pixels = np.random.default_rng(0).integers(236, 250, (600, 800, 3)).astype(np.uint8)
    assert find_tissue(ArraySlide(pixels, mpp=0.25), 0.25, None).area_px == 0


def test_dark_tissue_without_colour_counts() -> None:
    pixels = np.full((400, 400, 3), 245, np.uint8)
    pixels[100:300, 100:300] = 60
    assert segment_tissue(pixels, 2.0).sum() == pytest.approx(40_000, rel=0.02)


def test_specks_go_and_holes_close() -> None:
    pixels = np.full((400, 400, 3), 245, np.uint8)
    pixels[10:14, 10:14] = (225, 170, 205)
    pixels[100:300, 100:300] = (225, 170, 205)
    pixels[190:200, 190:200] = 245
    found = segment_tissue(pixels, 8.0)
    assert found[100:300, 100:300].all()
    assert found.sum() == 40_000


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", KINDS)
def test_tissue_is_told_from_glass_on_slides_of_many_kinds(name: str, seed: int) -> None:
    """Fixed limits take tinted glass and fill for tissue, and a pale section for glass where ink or a strong one is beside it."""
    area, overlap = agreement(draw(KINDS[name], seed))
    assert area == pytest.approx(1, abs=0.03)
    assert overlap > 0.95


def test_real_fields_are_tissue_and_real_slides_have_glass_too(shared_data: Path) -> None:
    """Fields were chosen inside sections; the shares of the two scans were measured and their masks looked at."""
    for path in sorted((shared_data / "icpr2012" / "fields").glob("*.jpg"))[::4]:
        assert _share(path, 0.2456) > 0.95, path.name
    assert _share(shared_data / "slides" / "cmu-1-small-region.svs", 0.5) == pytest.approx(0.40, abs=0.03)
    assert _share(shared_data / "slides" / "tcga-cr-7395-no-mpp.svs", 0.5) == pytest.approx(0.64, abs=0.03)


def _share(path: Path, mpp: float) -> float:
    """Of a slide's pixels, those of tissue."""
    with open_slide(path) as slide:
        return find_tissue(slide, mpp, None).area_px / (slide.width * slide.height)


def test_pigment_and_ink_without_tissue_are_told_apart() -> None:
    glass = np.full((400, 400, 3), 245, np.uint8)
    ink = glass.copy()
    ink[100:300, 100:180] = (25, 70, 215)
    assert not segment_tissue(ink, 2.0).any()
    assert not segment_tissue(glass, 2.0).any()


@draw_examples(12)
@given(
    st.tuples(*[st.integers(205, 255)] * 3).filter(lambda g: g[1] >= max(g) - 30),
    st.floats(0.35, 2),
    st.booleans(),
    st.integers(0, 99),
)
def test_whatever_colour_glass_has_the_section_is_the_same(
    glass: tuple[int, int, int], strength: float, filled: bool, seed: int
) -> None:
    """Glass may have any light tint but that of eosin; the area of the section does not follow it."""
    after = (fill(0),) if filled else ()
    area, overlap = agreement(draw(Kind(glass=glass, strengths=(strength,), after=after), seed))
    assert area == pytest.approx(1, abs=0.04)
    assert overlap > 0.94


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (3000, 1), (1, 3000), (257, 255)])
def test_any_size_has_a_mask(size: tuple[int, int]) -> None:
    mask = find_tissue(ArraySlide(tissue(*size), mpp=0.25), 0.25, None)
    assert mask.area_px == pytest.approx(size[0] * size[1])
    assert mask.fraction(Region(0, 0, 1000, 1000)) == 1


def test_the_roi_limits_the_area_without_bias() -> None:
    slide = ArraySlide(tissue(4000, 3000), mpp=0.25)
    rectangle = find_tissue(slide, 0.25, parse_roi("513,402,1777,1234"))
    assert rectangle.area_px == pytest.approx(1777 * 1234, rel=0.01)
    triangle = find_tissue(slide, 0.25, parse_roi("[[100,100],[3900,200],[1500,2900]]"))
    assert triangle.area_px == pytest.approx(5_250_000, rel=0.005)


@pytest.mark.parametrize("text", ["-1e12,-1e12,2e12,2e12", "-1e300,-1,2e300,5000", "[[-1e9,-1e9],[1e9,-1e9],[0,1e9]]"])
def test_a_roi_may_be_as_large_as_it_likes(text: str) -> None:
    slide = ArraySlide(tissue(600, 400), mpp=0.25)
    assert find_tissue(slide, 0.25, parse_roi(text)).area_px == pytest.approx(240_000)


def test_the_overview_is_as_fine_as_people_need() -> None:
    assert max(find_tissue(ArraySlide(tissue(1100, 900), mpp=0.25), 0.25, None).overview.shape) == 1100
    assert max(find_tissue(ArraySlide(tissue(3000, 900), mpp=0.25), 0.25, None).overview.shape) == 1200


@pytest.mark.parametrize("seed", range(8))
def test_specks_and_holes_are_those_of_the_whole_picture(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked for in a box around what is not glass."""
    rng = np.random.default_rng(seed)
    overview = np.full((70, 90, 3), 245, np.uint8)
    for y, x, height, width in rng.integers((0, 0, 1, 1), (60, 80, 30, 30), (6, 4)):
        overview[y : y + height, x : x + width] = (200, 120, 180)
    for y, x in rng.integers((0, 0), (65, 85), (12, 2)):
        overview[y : y + 3, x : x + 3] = 245
    found = segment_tissue(overview, 40.0)
    monkeypatch.setattr("serving.scoring.tissue.find_bounding_box", lambda *_: WHOLE)
    assert np.array_equal(found, segment_tissue(overview, 40.0))
