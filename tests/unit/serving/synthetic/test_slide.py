"""Generated slides: readable, repeatable, without seams, with a truth that is where the cells are."""

import json
from pathlib import Path

import numpy as np
import pytest

from serving.core.geometry import Region
from serving.slides.opening import open_slide
from serving.synthetic.field import SyntheticTissue, generate_field
from serving.synthetic.slide import generate_slide, truth_path


def test_slide_opens_with_its_size_and_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    generate_slide(path, seed=1, width=1500, height=1100, mpp=0.25)
    with open_slide(path) as slide:
        assert (slide.width, slide.height) == (1500, 1100)
        assert slide.mpp == pytest.approx(0.25, rel=1e-3)
        assert slide.read(Region(0, 0, 100, 100), 100, 100).shape == (100, 100, 3)


def test_slide_without_mpp_states_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    generate_slide(path, width=512, height=512, mpp=None)
    with open_slide(path) as slide:
        assert slide.mpp is None


def test_same_seed_same_bytes_other_seed_other_tissue(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tif", "b.tif", "c.tif")]
    for path, seed in zip(paths, (5, 5, 6), strict=True):
        generate_slide(path, seed=seed, width=512, height=512, tissue_fraction=1.0)
    with open_slide(paths[0]) as a, open_slide(paths[1]) as b, open_slide(paths[2]) as c:
        whole = Region(0, 0, 512, 512)
        np.testing.assert_array_equal(a.read(whole, 512, 512), b.read(whole, 512, 512))
        assert np.abs(a.read(whole, 512, 512).astype(int) - c.read(whole, 512, 512)).mean() > 5


def test_truth_is_written_beside_and_its_figures_are_dark(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    truth = generate_slide(path, seed=2, width=2048, height=2048, tissue_fraction=1.0, mitoses_per_mm2=60)
    stored = json.loads(truth_path(path).read_text())
    assert stored["mitotic_figures"] == truth.mitotic_figures
    assert (stored["width"], stored["height"]) == (2048, 2048)
    assert truth.mitotic_figures
    with open_slide(path) as slide:
        for x1, y1, x2, y2 in truth.mitotic_figures:
            box = Region(int(x1), int(y1), int(x2 - x1), int(y2 - y1))
            assert slide.read(box, box.width, box.height).min() < 80


def test_no_tissue_means_glass_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    truth = generate_slide(path, width=1024, height=1024, tissue_fraction=0.0)
    assert truth.mitotic_figures == []
    with open_slide(path) as slide:
        assert slide.thumbnail(64).min() > 235


@pytest.mark.parametrize("arguments", [{"width": 100}, {"tissue_fraction": 1.5}])
def test_impossible_slides_are_refused(tmp_path: Path, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="tissue_fraction"):
        generate_slide(tmp_path / "a.tif", **arguments)  # type: ignore[arg-type]


def test_parts_drawn_alone_fit_together() -> None:
    tissue = SyntheticTissue(3, 100.0, 100.0)
    whole = tissue.draw(Region(-100, 300, 700, 400))
    left, right = tissue.draw(Region(-100, 300, 333, 400)), tissue.draw(Region(233, 300, 367, 400))
    np.testing.assert_array_equal(whole, np.concatenate([left, right], axis=1))


def test_fields_hold_whole_figures_and_lookalikes() -> None:
    field = generate_field(seed=4, width=1200, height=900, mitoses_per_mm2=150, lookalikes_per_mm2=150)
    for boxes in (field.mitotic_figures, field.lookalikes):
        assert len(boxes)
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (1200, 900)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
