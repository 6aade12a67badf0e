from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serving.core.errors import RoiError
from serving.core.geometry import MPP_RANGE, Region, Roi, WorkFrame
from serving.core.options import ScoringOptions
from serving.scoring.plan import make_plan
from serving.scoring.tissue import find_tissue
from serving.slides.arrayslide import ArraySlide
from tests.fakes import make_cards, tissue

pytestmark = pytest.mark.property
MODEL = make_cards()[0].input

mpps = st.floats(*MPP_RANGE)
sides = st.integers(1, 2600)
rois = st.one_of(
    st.none(),
    st.lists(st.tuples(st.floats(-300, 2900), st.floats(-300, 2900)), min_size=3, max_size=6).map(
        lambda points: Roi(tuple(points))
    ),
)


@given(mpps, st.integers(-1000, 400_000), st.integers(-1000, 400_000), st.integers(1, 1250), st.integers(1, 1250))
def test_frames_round_trip_within_half_a_pixel(mpp: float, x: int, y: int, width: int, height: int) -> None:
    frame = WorkFrame.from_mpp(mpp, MODEL.mpp)
    found = frame.region_to_level0(Region(x, y, width, height))
    exact = np.asarray([x, y, x + width, y + height]) * frame.scale
    assert np.abs(np.asarray([found.x, found.y, found.right, found.bottom]) - exact).max() <= 0.5
    box = frame.boxes_to_level0(np.asarray([[x, y, x + width, y + height]], np.float32))
    assert np.abs(box[0] / frame.scale - [x, y, x + width, y + height]).max() <= 0.5


@given(mpps, st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_work_size_is_the_least_that_covers(mpp: float, width: int, height: int) -> None:
    frame = WorkFrame.from_mpp(mpp, MODEL.mpp)
    for size, work in zip((width, height), frame.size_to_work(width, height), strict=True):
        assert work * frame.scale >= size - 1e-3
        assert (work - 1) * frame.scale < size


@given(sides, sides, st.sampled_from([0.25, 0.2, 0.5, 0.73]), rois)
def test_tiles_and_sub_tiles_cover_every_pixel_of_the_roi(width: int, height: int, mpp: float, roi: Roi | None) -> None:
    slide = ArraySlide(tissue(width, height), mpp=mpp)
    try:
        plan = make_plan(slide, ScoringOptions(roi=roi, min_tissue_fraction=0), MODEL)
    except RoiError:
        return
    x, y = np.meshgrid(np.arange(0, width, 7), np.arange(0, height, 7))
    last = np.asarray([[width - 1, height - 1], [width - 1, 0], [0, height - 1]])
    pixels = np.concatenate([np.stack([x.ravel(), y.ravel()], 1), last])
    centres = pixels + 0.5
    wanted = np.ones(len(pixels), bool) if roi is None else roi.contains(centres)
    tiled, viewed = np.zeros(len(pixels), int), np.zeros(len(pixels), bool)
    for tile in plan.tiles:
        tiled += _holds(tile.region, pixels)
        patch = plan.frame.region_to_level0(tile.patch.region)
        assert tile.patch.region.width % MODEL.stride_px == tile.patch.region.height % MODEL.stride_px == 0
        viewed |= _holds(patch, pixels)
    assert tiled.max(initial=0) <= 1
    assert tiled[wanted].all()
    assert viewed[wanted].all()


@given(st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=3, max_size=6), st.data())
def test_a_roi_touches_exactly_the_regions_in_which_it_has_a_part(
    points: list[tuple[float, float]], data: st.DataObject
) -> None:
    roi = Roi(tuple(points))
    region = Region(
        *(data.draw(st.integers(0, 80)) for _ in range(2)), *(data.draw(st.integers(1, 40)) for _ in range(2))
    )
    x, y = np.meshgrid(
        np.linspace(region.x, region.right, 41)[:-1] + 0.01, np.linspace(region.y, region.bottom, 41)[:-1]
    )
    samples = np.stack([x.ravel(), y.ravel() + 0.01], 1)
    if roi.contains(samples).any():
        assert roi.touches(region)
    far = Region(region.x + 1000, region.y, region.width, region.height)
    assert not roi.touches(far)


@given(st.lists(st.tuples(st.floats(-500, 3000), st.floats(-500, 3000)), min_size=3, max_size=6))
def test_the_analysed_area_is_that_of_the_pixel_centres_in_the_roi(points: list[tuple[float, float]]) -> None:
    roi = Roi(tuple(points))
    mask = find_tissue(ArraySlide(tissue(1700, 900), mpp=0.25), 0.25, roi)
    rows, columns = mask.analysed.shape
    x, y = np.meshgrid((np.arange(columns) + 0.5) * mask.step_x, (np.arange(rows) + 0.5) * mask.step_y)
    expected = roi.contains(np.stack([x.ravel(), y.ravel()], 1)).reshape(rows, columns)
    # A centre on a side may go either way.
    assert (mask.analysed != expected).sum() <= 2


@given(mpps)
def test_neighbouring_tiles_share_no_pixel_and_leave_none_out(mpp: float) -> None:
    assume(mpp > MPP_RANGE[0])
    frame = WorkFrame.from_mpp(mpp, MODEL.mpp)
    ends = [frame.region_to_level0(Region(x, 0, 1000, 1000)) for x in range(0, 20_000, 1000)]
    assert all(a.right == b.x for a, b in pairwise(ends))


def _holds(region: Region, pixels: np.ndarray) -> np.ndarray:
    x, y = pixels[:, 0], pixels[:, 1]
    return (x >= region.x) & (x < region.right) & (y >= region.y) & (y < region.bottom)
