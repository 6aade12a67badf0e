from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.geometry import Region
from serving.slides.opening import open_slide
from serving.synthetic.artefacts import KINDS, Artefact, place_artefacts, truth_raster
from serving.synthetic.field import SyntheticTissue, everywhere
from serving.synthetic.slide import artefacts_path, generate_slide, truth_path

LINE = ((300.0, 250.0), (500.0, 350.0))


def test_distance_is_from_the_line_and_its_ends() -> None:
    artefact = Artefact("pen", ((10.0, 10.0), (30.0, 10.0)), 5.0)
    x, y = np.asarray([0.0, 20.0, 40.0]), np.asarray([10.0, 14.0])
    np.testing.assert_allclose(artefact.distance(x, y), [[10, 0, 10], [np.hypot(10, 4), 4, np.hypot(10, 4)]], rtol=1e-6)
    dot = Artefact("blur", ((3.0, 4.0),), 1.0)
    assert dot.distance(np.zeros(1), np.zeros(1))[0, 0] == pytest.approx(5)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_change_where_the_truth_says_and_nowhere_else(kind: str) -> None:
    artefact = Artefact(kind, LINE, 60.0)  # type: ignore[arg-type]  # one of KINDS
    region = Region(0, 0, 800, 600)
    clean = SyntheticTissue(5, 40.0, 40.0).draw(region).astype(int)
    spoilt = SyntheticTissue(5, 40.0, 40.0, everywhere, (artefact,)).draw(region).astype(int)
    inside = truth_raster([artefact], 800, 600, 1) == 1 + KINDS.index(artefact.kind)
    changed = np.abs(clean - spoilt).max(2)
    assert changed[~inside].max() == 0
    assert changed[inside].mean() > 5


def test_parts_drawn_alone_fit_together_over_artefacts() -> None:
    artefacts = tuple(Artefact(kind, LINE, 80.0 + 10 * i) for i, kind in enumerate(KINDS))
    tissue = SyntheticTissue(3, 40.0, 40.0, everywhere, artefacts)
    whole = tissue.draw(Region(0, 0, 700, 500))
    parts = [tissue.draw(Region(0, 0, 390, 500)), tissue.draw(Region(390, 0, 310, 500))]
    # Blurring sums in another order; a grey value may round to the next.
    assert np.abs(whole.astype(int) - np.concatenate(parts, axis=1)).max() <= 1


def test_a_slide_has_them_with_their_truth_and_is_the_same_slide_without(tmp_path: Path) -> None:
    plain, spoilt, again = (tmp_path / f"{name}.tif" for name in "abc")
    clean = generate_slide(plain, seed=1, width=1400, height=1400, tissue_fraction=1.0)
    truth = generate_slide(spoilt, seed=1, width=1400, height=1400, tissue_fraction=1.0, artefacts=KINDS)
    generate_slide(again, seed=1, width=1400, height=1400, tissue_fraction=1.0, artefacts=KINDS)
    assert truth == clean
    assert truth_path(spoilt).read_text() == truth_path(plain).read_text()
    assert not artefacts_path(plain).exists()
    assert again.read_bytes() == spoilt.read_bytes()
    raster = np.asarray(Image.open(artefacts_path(spoilt)))
    assert set(np.unique(raster)) == {0, 1, 2, 3, 4}
    with open_slide(spoilt) as slide:
        seen = slide.thumbnail(raster.shape[0]).astype(int)
    assert (seen[..., 2] - seen[..., 0])[raster == 1].mean() > 50  # blue ink


def test_without_room_it_says_so() -> None:
    with pytest.raises(ValueError, match="no room for a pen"):
        place_artefacts(("pen",), seed=0, width=1000, height=1000, is_tissue=lambda x, y: False)
