import numpy as np
import pytest

from serving.scoring.hotspot import find_hotspot, hotspot_size_px
from serving.wsi.geometry import Region


def test_the_window_is_four_by_three_of_its_area() -> None:
    width, height = hotspot_size_px(2.0, 0.25)
    assert width / height == pytest.approx(4 / 3)
    assert width * height * 0.25**2 / 1e6 == pytest.approx(2.0)


def test_no_figures_no_hotspot() -> None:
    assert find_hotspot(np.empty((0, 2)), within=Region(0, 0, 100, 100), mpp=0.25) is None


def test_it_is_centred_on_what_it_holds() -> None:
    centres = np.asarray([(50_000.0, 40_000.0), (50_400.0, 40_200.0), (5.0, 5.0)])
    found = find_hotspot(centres, within=Region(0, 0, 100_000, 80_000), mpp=0.25)
    assert found is not None
    assert found.mitotic_figures == 2
    assert (found.x + found.width / 2, found.y + found.height / 2) == pytest.approx((50_200, 40_100), abs=0.02)
    assert (found.area_mm2, found.per_mm2) == (2.0, 1.0)


def test_of_equals_the_uppermost_then_the_leftmost() -> None:
    centres = np.asarray([(70_000.0, 100.0), (10_000.0, 100.0), (10.0, 60_000.0)])
    found = find_hotspot(centres, within=Region(0, 0, 100_000, 80_000), mpp=0.25)
    assert found is not None
    assert found.x < 10_000 < found.x + found.width
    assert found.y == 0


def test_on_a_slide_smaller_than_the_window_it_is_the_slide() -> None:
    found = find_hotspot(np.asarray([(10.0, 3.0), (999.0, 499.0)]), within=Region(0, 0, 1000, 500), mpp=0.25)
    assert found is not None
    assert (found.x, found.y, found.width, found.height) == (0, 0, 1000, 500)
    assert found.area_mm2 == pytest.approx(1000 * 500 * 0.25**2 / 1e6, abs=1e-4)
    assert found.mitotic_figures == 2


def test_it_stays_within_what_was_analysed() -> None:
    within = Region(40_000, 30_000, 20_000, 20_000)
    found = find_hotspot(np.asarray([(40_010.0, 49_990.0)]), within=within, mpp=0.25)
    assert found is not None
    assert (found.x, found.area_mm2) == (40_000, 2.0)
    assert found.y + found.height == pytest.approx(50_000, abs=0.02)
