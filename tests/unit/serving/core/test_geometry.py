from itertools import pairwise

import numpy as np
import pytest

from serving.core.errors import RequestError, ResolutionError
from serving.core.geometry import Region, Roi, WorkFrame, parse_roi


def test_intersection_is_half_open() -> None:
    left = Region(0, 0, 10, 10)
    assert left.intersection(Region(5, 6, 10, 10)) == Region(5, 6, 5, 4)
    assert left.intersection(Region(10, 0, 10, 10)).area == 0
    assert left.intersection(Region(-30, 0, 10, 10)).area == 0


@pytest.mark.parametrize("mpp", [0.22, 0.25, 0.2524, 0.28])
def test_slides_near_the_models_resolution_are_not_resampled(mpp: float) -> None:
    frame = WorkFrame.from_mpp(mpp, 0.25)
    assert frame.scale == 1.0
    assert frame.work_mpp == mpp


@pytest.mark.parametrize("mpp", [0.1, 0.2, 0.35, 0.5, 1.0])
def test_other_slides_are_resampled_to_the_models_resolution(mpp: float) -> None:
    assert WorkFrame.from_mpp(mpp, 0.25).work_mpp == pytest.approx(0.25)


@pytest.mark.parametrize("mpp", [0.0, -0.25, 0.0999, 1.001, 84.7, float("nan"), float("inf")])
def test_resolutions_out_of_range_are_refused(mpp: float) -> None:
    with pytest.raises(ResolutionError, match="mpp"):
        WorkFrame.from_mpp(mpp, 0.25)


def test_work_size_covers_every_pixel_and_no_more() -> None:
    half = WorkFrame.from_mpp(0.5, 0.25)
    assert half.size_to_work(1000, 3) == (2000, 6)
    third = WorkFrame.from_mpp(0.75, 0.25)
    assert third.size_to_work(100, 1) == (300, 3)


def test_seams_of_neighbouring_regions_agree() -> None:
    frame = WorkFrame.from_mpp(0.31, 0.25)
    edges = [frame.region_to_level0(Region(x, 0, 125, 125)) for x in range(0, 5000, 125)]
    assert all(a.right == b.x for a, b in pairwise(edges))


def test_area() -> None:
    assert WorkFrame.from_mpp(0.5, 0.25).area_mm2(4_000_000) == pytest.approx(1.0)


def test_a_rectangle_parses() -> None:
    assert parse_roi(" 10, 20,30 ,40.5").points == ((10, 20), (40, 20), (40, 60.5), (10, 60.5))
    assert parse_roi("10,20,30,40.5").bounds == Region(10, 20, 30, 41)


def test_a_polygon_parses() -> None:
    roi = parse_roi("[[0, 0], [10, 0], [0, 10.5]]")
    assert roi.points == ((0, 0), (10, 0), (0, 10.5))
    assert roi.bounds == Region(0, 0, 10, 11)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "0,0,0,10",
        "0,0,10,-1",
        "nan,0,1,1",
        "0,0,inf,1",
        "1e308,0,1e308,1",
        "[]",
        "[[0,0],[1,1]]",
        "[[0,0],[1,1],[2,2]]",
        "[[0,0],[1,0],[0,NaN]]",
        "[[0,0],[1,0],[0]]",
        "[[0,0],[1,0],[0,1,2]]",
        '["00","10","01"]',
        '[["0","0"],["1","0"],["0","1"]]',
        "[[false,0],[1,0],[0,1]]",
        '[{"0":0,"1":0},[1,0],[0,1]]',
        "[[0,0],[1,0],[0,1]",
        "[" * 100_000,
        f"[[0,0],[1,0],[0,1{'0' * 400}]]",
    ],
)
def test_what_is_no_region_is_refused_with_help(text: str) -> None:
    with pytest.raises(RequestError, match="level-0 px"):
        parse_roi(text)


def test_contains_is_even_odd() -> None:
    # A square with a square hole, drawn in one line.
    outer, inner = [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)], [(3.0, 3.0), (3.0, 6.0), (6.0, 6.0), (6.0, 3.0)]
    roi = Roi((*outer, outer[0], *inner, inner[0]))
    inside = roi.contains(np.asarray([(1.0, 1.0), (4.5, 4.5), (8.0, 4.0), (-1.0, 4.0), (10.0, 4.0)]))
    assert inside.tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("region", "touched"),
    [
        (Region(0, 0, 5, 5), False),
        (Region(5, 5, 10, 10), True),
        (Region(0, 0, 100, 100), True),
        (Region(14, 14, 1, 1), True),
        (Region(30, 10, 10, 10), False),  # shares an edge only
        (Region(29, 29, 10, 10), True),
        (Region(0, 15, 100, 1), True),
        (Region(15, 15, 0, 5), False),
    ],
)
def test_touches(region: Region, touched: bool) -> None:
    assert parse_roi("10,10,20,20").touches(region) is touched


def test_a_region_in_the_notch_of_a_polygon_is_not_touched() -> None:
    notched = parse_roi("[[0,0],[100,0],[100,100],[50,10],[0,100]]")
    assert not notched.touches(Region(45, 60, 10, 20))
    assert notched.touches(Region(45, 0, 10, 20))
