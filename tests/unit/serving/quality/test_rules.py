"""Ink, bubbles and folds on drawn densities: what each rule takes, and what looks like it and is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.quality.bubble import find_bubbles
from serving.quality.density import Density, measure_density
from serving.quality.fold import find_folds
from serving.quality.pen import find_ink

MPP = 8.0
TISSUE = (0.25, 0.8, 0.45)
SIDE = 160
Y, X = np.mgrid[:SIDE, :SIDE] * MPP
AWAY = np.hypot(Y - 640, X - 640)


def _slide() -> Density:
    density = np.empty((SIDE, SIDE, 3), np.float32)
    density[:] = TISSUE
    return density


def _everywhere() -> NDArray[np.bool_]:
    return np.ones((SIDE, SIDE), np.bool_)


@pytest.mark.parametrize("ink", [(1.9, 1.3, 0.35), (1.7, 0.6, 1.1), (1.8, 1.8, 1.8)], ids=["blue", "green", "black"])
@pytest.mark.parametrize("below", [TISSUE, (0.05, 0.05, 0.05)], ids=["tissue", "glass"])
def test_ink_is_found_on_tissue_and_on_glass(ink: tuple[float, ...], below: tuple[float, ...]) -> None:
    density = _slide()
    density[:] = below
    stroke = (np.abs(Y - 640) <= 100) & (np.abs(X - 640) <= 400)
    density[stroke] += np.asarray(ink, np.float32)
    found = find_ink(density, MPP)
    assert found[stroke].mean() > 0.95
    assert found[~stroke].mean() < 0.02
    assert not find_bubbles(density, MPP).any()


def test_stains_are_no_ink() -> None:
    density = _slide()
    density[:40] = (1.3, 1.4, 0.58)  # nothing but haematoxylin
    density[40:80] = (0.14, 1.9, 0.22)  # nothing but eosin
    density[80:90] = (0.3, 1.9, 2.0)  # blood
    assert not find_ink(density, MPP).any()


@pytest.mark.parametrize("radius", [80, 150, 400])
def test_a_bubble_is_its_rim_and_what_it_encloses(radius: int) -> None:
    density = _slide()
    density[np.abs(AWAY - radius) <= 14] += 1.5
    found, inside = find_bubbles(density, MPP), radius + 14 >= AWAY
    assert (found & inside).sum() / (found | inside).sum() > 0.8
    assert not find_ink(density, MPP).any()


def test_lines_and_blots_are_no_bubbles() -> None:
    density = _slide()
    density[(np.abs(Y - X) < 14) & (X > 300) & (X < 900)] += 1.5
    density[np.hypot(Y - 200, X - 1000) < 45] += 1.5
    density[(np.abs(AWAY - 300) <= 14) & (X < 640)] += 1.5
    star = 300 * (0.6 + 0.4 * np.cos(5 * np.arctan2(Y - 640, X - 640)))
    assert not find_bubbles(density, MPP).any()
    density = _slide()
    density[np.abs(AWAY - star) <= 20] += 1.5
    assert not find_bubbles(density, MPP).any()


def test_two_layers_are_a_fold_and_crowded_nuclei_are_not() -> None:
    density = _slide()
    band = (np.abs(X - 640) <= 60) & (np.abs(Y - 640) <= 400)
    density[band] *= 2
    lymph = (np.abs(X - 1000) <= 80) & (np.abs(Y - 640) <= 80)
    density[lymph] = (0.9, 1.1, 0.55)
    found = find_folds(density, _everywhere(), MPP)
    assert found[band].mean() > 0.8
    assert found[~band].mean() < 0.02


def test_a_slide_without_tissue_has_no_folds() -> None:
    assert not find_folds(_slide(), np.zeros((SIDE, SIDE), np.bool_), MPP).any()


@pytest.mark.parametrize("mpp", [1.0, 2.0, 4.0, 8.0])
def test_density_is_averaged_over_a_nucleus_at_any_pitch(mpp: float) -> None:
    light = np.full((400, 400, 3), 240, np.uint8)
    side = round(8 / mpp)
    light[200 : 200 + side, 200 : 200 + side] = 15
    density = measure_density(light, (400, 400), mpp)
    assert density.max() == pytest.approx(-np.log(16 / 256), rel=1e-3)
    assert (density > 0.1).sum() <= 3 * (2 * side - 1) ** 2
    assert density.min() == pytest.approx(-np.log(241 / 256), rel=1e-3)
