"""Dark nuclei as candidates, wherever the labels are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from serving.datasets.store import Annotation, Dataset, Picture
from tests.fakes import plant, tissue
from training.data.verifier_windows import Draw
from training.evaluation.nuclei_fold import propose_nuclei
from training.recipes.verifier import VerifierRecipe

DOTS = ((100, 120), (300, 200), (420, 80))
RECIPE = VerifierRecipe(
    steps=1, learning_rate=1e-3, precision="float32", draw=(Draw(label="figure", count=1), Draw(label="other", count=1))
)


class Darkness(nn.Module):
    """Takes a window with a dark middle for a figure."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(Tensor([0.1]))

    def forward(self, windows: Tensor) -> Tensor:
        """Log odds, float32, (N,). windows : (N, 3, 64, 64)."""
        middle = windows[:, :, 28:36, 28:36].mean((1, 2, 3))
        return (120 - middle) * self.weight


def _store(folder: Path, labelled: tuple[tuple[int, int], ...], mpp: float | None = 0.25) -> Dataset:
    pixels = tissue(500, 300)
    for x, y in DOTS:
        plant(pixels, x, y, side=9, colour=(40, 30, 90))
    Image.fromarray(pixels).save(folder / "a.png")
    marks = tuple(
        Annotation(box=(x - 12, y - 12, x + 12, y + 12), label="mitotic figure", agreement=1) for x, y in labelled
    )
    picture = Picture(
        id="a", path="a.png", width=500, height=300, mpp=mpp, slide="a", patient="mitos/03", annotations=marks
    )
    return Dataset(name="dots", format="tests", licence="none", root=str(folder), pictures=(picture,))


def _propose(store: Dataset, **how: object) -> list[tuple[float, float, float]]:
    values: dict[str, object] = {"per_mm2": 3000, "lowest": 0.5, "fold": "1", "seen": [], **how}
    fold = propose_nuclei(RECIPE, Darkness().eval(), [store], ["mitos/03"], say=lambda _: None, **values)  # type: ignore[arg-type]
    return fold.pictures[0].detections


@pytest.mark.parametrize("labelled", [(), DOTS[:1], DOTS])
def test_candidates_are_the_dark_nuclei_whatever_is_labelled(
    tmp_path: Path, labelled: tuple[tuple[int, int], ...]
) -> None:
    found = _propose(_store(tmp_path, labelled))
    places = np.asarray(sorted(found))[:, :2]
    assert np.abs(places - np.asarray(sorted(DOTS))).max() <= 2
    assert all(p >= 0.5 for _, _, p in found)


def test_the_darkest_of_an_area_are_looked_at(tmp_path: Path) -> None:
    area = 500 * 300 * 0.25**2 / 1e6
    assert len(_propose(_store(tmp_path, ()), per_mm2=2 / area, lowest=0.0)) == 2


def test_who_was_seen_or_has_no_resolution_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its weights saw patients mitos/03"):
        _propose(_store(tmp_path, DOTS), seen=["mitos/03"])
    with pytest.raises(ValueError, match="states no resolution"):
        _propose(_store(tmp_path, DOTS, mpp=None))
    other = _store(tmp_path, DOTS).model_copy(update={"pictures": ()})
    with pytest.raises(ValueError, match="no store has labelled pictures of patient mitos/03"):
        _propose(other)
