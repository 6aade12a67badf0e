import numpy as np
import pytest
from pydantic import ValidationError

from serving.core.errors import MissingResolutionError, ResolutionError, RoiError
from serving.core.geometry import Region, parse_roi
from serving.core.options import ScoringOptions
from serving.scoring.pipeline import DEFAULTS
from serving.scoring.plan import SlidePlan, make_plan
from serving.slides.arrayslide import ArraySlide
from tests.fakes import make_cards, tissue

MODEL = make_cards()[0].input


def _plan(slide: ArraySlide, options: ScoringOptions = DEFAULTS) -> SlidePlan:
    return make_plan(slide, options, MODEL)


def test_tiles_are_cut_at_the_slides_edges() -> None:
    plan = _plan(ArraySlide(tissue(1500, 1001), mpp=0.25))
    assert [tile.region for tile in plan.tiles] == [
        Region(0, 0, 1000, 1000),
        Region(1000, 0, 500, 1000),
        Region(0, 1000, 1000, 1),
        Region(1000, 1000, 500, 1),
    ]
    assert (plan.tiles_total, plan.warnings, plan.mpp_source) == (4, [], "slide")


def test_tiles_of_a_coarse_slide_are_smaller_in_its_own_pixels() -> None:
    plan = _plan(ArraySlide(tissue(1000, 500), mpp=0.5))
    assert [tile.region for tile in plan.tiles] == [Region(0, 0, 500, 500), Region(500, 0, 500, 500)]


def test_tiles_without_tissue_are_not_scored() -> None:
    pixels = np.full((1000, 3000, 3), 245, np.uint8)
    pixels[:, 1000:2030] = tissue(1030, 1000)
    plan = _plan(ArraySlide(pixels, mpp=0.25))
    assert [tile.cell for tile in plan.tiles] == [(1, 0)]
    assert plan.tiles_total == 3
    all_tiles = _plan(ArraySlide(pixels, mpp=0.25), ScoringOptions(min_tissue_fraction=0))
    assert [tile.cell for tile in all_tiles.tiles] == [(0, 0), (1, 0), (2, 0)]


def test_glass_alone_gives_a_warning_and_no_tiles() -> None:
    plan = _plan(ArraySlide(np.full((500, 500, 3), 245, np.uint8), mpp=0.25))
    assert plan.tiles == []
    assert any("tissue" in w for w in plan.warnings)


@pytest.mark.parametrize(
    ("roi", "cells"),
    [
        ("0,0,1000,1000", [(0, 0)]),
        ("0,0,1000.5,1000", [(0, 0), (1, 0)]),
        ("999,999,2,2", [(0, 0), (1, 0), (0, 1), (1, 1)]),
        ("1500,1500,0.5,0.5", [(1, 1)]),
        ("-500,-500,600,600", [(0, 0)]),
        ("-500,-500,500.25,600", [(0, 0)]),
        ("[[1,1],[1999,1],[1,1999]]", [(0, 0), (1, 0), (0, 1)]),
    ],
)
def test_tiles_that_the_roi_reaches_are_planned(roi: str, cells: list[tuple[int, int]]) -> None:
    plan = _plan(ArraySlide(tissue(2000, 2000), mpp=0.25), ScoringOptions(roi=parse_roi(roi)))
    assert [tile.cell for tile in plan.tiles] == cells


@pytest.mark.parametrize("roi", ["2000,0,10,10", "-10,0,10,10", "0,-5,10,5", "0,2000,5,5"])
def test_a_roi_outside_the_slide_is_refused(roi: str) -> None:
    with pytest.raises(RoiError, match="2000 x 2000"):
        _plan(ArraySlide(tissue(2000, 2000), mpp=0.25), ScoringOptions(roi=parse_roi(roi)))


def test_a_slide_without_resolution_is_refused_by_a_message_that_helps() -> None:
    with pytest.raises(MissingResolutionError, match=r"array states no microns per pixel; give `mpp`"):
        _plan(ArraySlide(tissue(300, 300), mpp=None))


@pytest.mark.parametrize("mpp", [0.05, 1.5, 0.0])
def test_resolutions_out_of_range_are_refused(mpp: float) -> None:
    with pytest.raises(ResolutionError):
        _plan(ArraySlide(tissue(300, 300), mpp=mpp))
    with pytest.raises(ResolutionError):
        _plan(ArraySlide(tissue(300, 300), mpp=0.25), ScoringOptions(mpp=mpp))


def test_the_override_wins_and_is_recorded() -> None:
    plan = _plan(ArraySlide(tissue(300, 300), mpp=0.9), ScoringOptions(mpp=0.25))
    assert (plan.frame.mpp, plan.mpp_source) == (0.25, "override")
    assert any("the slide states 0.9 um/px" in w for w in plan.warnings)
    unknown = _plan(ArraySlide(tissue(300, 300), mpp=None), ScoringOptions(mpp=0.25))
    assert any("the slide states no resolution" in w for w in unknown.warnings)


@pytest.mark.parametrize(("mpp", "warned"), [(0.25, False), (0.35, False), (0.36, True), (0.499, True)])
def test_coarse_slides_are_warned_about(mpp: float, warned: bool) -> None:
    plan = _plan(ArraySlide(tissue(300, 300), mpp=mpp))
    assert any("low resolution" in w for w in plan.warnings) is warned


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"min_tissue_fraction": -1},
        {"min_tissue_fraction": 2},
    ],
)
def test_options_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=rf"(?s){next(iter(values))}.*than or equal to [01]"):
        ScoringOptions.model_validate(values)
