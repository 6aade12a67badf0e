import numpy as np
import pytest

from serving.core.geometry import Region
from serving.scoring.hotspot import find_hotspots
from serving.scoring.windows import Disc, Rectangle, make_window, rectangle_sides

SLIDE = Region(0, 0, 100_000, 80_000)
WINDOW = make_window("rectangle", 2.0, 0.25, SLIDE)


def find(points: list[tuple[float, float]], *, number: int = 1) -> np.ndarray:
    return find_hotspots(np.asarray(points).reshape(-1, 2), window=WINDOW, size=(100_000, 80_000), number=number)


def test_the_window_is_four_by_three_of_its_area() -> None:
    width, height = rectangle_sides(2.0)
    assert (width, height) == pytest.approx((1.633, 1.225), abs=1e-3)  # mm
    assert WINDOW.width / WINDOW.height == pytest.approx(4 / 3)
    assert WINDOW.area * 0.25**2 / 1e6 == pytest.approx(2.0)


@pytest.mark.parametrize(("area", "radius_mm"), [(2.0, 0.798), (2.37, 0.869)])
def test_a_disc_has_its_area(area: float, radius_mm: float) -> None:
    disc = make_window("disc", area, 0.25, SLIDE)
    assert isinstance(disc, Disc)
    assert disc.radius * 0.25 / 1000 == pytest.approx(radius_mm, abs=1e-3)


def test_no_figures_no_hotspot() -> None:
    assert len(find([])) == 0


def test_it_is_centred_on_what_it_holds() -> None:
    (place,) = find([(50_000.0, 40_000.0), (50_400.0, 40_200.0), (5.0, 5.0)])
    assert place + np.asarray([WINDOW.width, WINDOW.height]) / 2 == pytest.approx((50_200, 40_100))


def test_of_equals_the_uppermost_then_the_leftmost() -> None:
    (place,) = find([(70_000.0, 100.0), (10_000.0, 100.0), (10.0, 60_000.0)])
    assert place[0] < 10_000 < place[0] + WINDOW.width
    assert place[1] == 0


def test_a_window_is_cut_to_a_region_that_is_smaller() -> None:
    small = Region(7, 9, 1000, 500)
    assert make_window("rectangle", 2.0, 0.25, small) == Rectangle(1000, 500)
    assert make_window("disc", 2.0, 0.25, small) == Disc(250)
    cut = make_window("rectangle", 2.0, 0.25, small)
    places = find_hotspots(np.asarray([(10.0, 3.0), (999.0, 499.0)]), window=cut, size=(1000, 500), number=2)
    assert places.tolist() == [[0, 0]]


def test_further_hotspots_leave_the_first_alone() -> None:
    points = [(20_000.0, 20_000.0), (20_100.0, 20_100.0), (24_000.0, 20_000.0), (60_000.0, 60_000.0)]
    places = find(points, number=9)
    assert len(places) == 2  # the third point cannot be held without meeting the first window
    assert not WINDOW.meets(places[1:], places[0]).any()


def test_many_figures_on_one_spot_end_the_search() -> None:
    places = find_hotspots(
        np.full((40, 2), 5000.0), window=make_window("disc", 2, 0.25, SLIDE), size=(9e4, 9e4), number=2
    )
    assert len(places) == 1
