"""A light net as a detector: the peaks of its map lie where its cells are likeliest, at the picture's own resolution."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from serving.datasets.store import Annotation, Dataset, Picture
from tests.fakes import plant, tissue
from training.evaluation.peaks_fold import centre_peaks, detect_peaks
from training.models.triage import CELL_PX, TriageNet

DOTS = ((100, 120), (300, 200), (420, 80))


class _Darkness(TriageNet):
    """Takes cells for figures as they are dark."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.eval()

    def forward(self, images: Tensor, cell_targets: Tensor | None = None) -> Tensor:
        """Log odds of cells; see `TriageNet`."""
        means = nn.functional.avg_pool2d(images.float().mean(1, keepdim=True), CELL_PX)[:, 0]
        return (means.median() - means) / 3 - 4


def _store(folder: Path, mpp: float | None) -> Dataset:
    pixels = tissue(500, 300)
    for x, y in DOTS:
        plant(pixels, x, y, side=15, colour=(20, 10, 60))
    Image.fromarray(pixels).save(folder / "a.png")
    mark = Annotation(box=(88, 108, 112, 132), label="mitotic figure", agreement=1)
    picture = Picture(
        id="a", path="a.png", width=500, height=300, mpp=mpp, slide="a", patient="mitos/03", annotations=(mark,)
    )
    return Dataset(name="dots", format="tests", licence="none", root=str(folder), pictures=(picture,))


@pytest.mark.parametrize("mpp", [0.25, 0.23])
def test_peaks_lie_at_dark_spots_in_pixels_of_the_picture(tmp_path: Path, mpp: float) -> None:
    fold = detect_peaks(_Darkness(), [_store(tmp_path, mpp)], ["mitos/03"], fold="1", seen=[], say=lambda _: None)
    likeliest = sorted(fold.pictures[0].detections, key=lambda row: -row[2])[: len(DOTS)]
    places = np.asarray(likeliest)[:, :2]
    distance = np.hypot(*(places[:, None] - np.asarray(DOTS)[None]).transpose(2, 0, 1))
    assert distance.min(1).max() * mpp < 7.5
    assert len(set(distance.argmin(1).tolist())) == len(DOTS)


def test_a_peak_between_two_cells_lies_between_them() -> None:
    cells = np.zeros((4, 5), np.float32)
    cells[1, 2] = cells[1, 3] = 0.5
    moved = centre_peaks(cells, np.asarray([[2.5, 1.5]]))
    assert moved[0] == pytest.approx([3.0, 1.5])
    corner = np.zeros((3, 3), np.float32)
    corner[0, 0] = 0.9
    assert centre_peaks(corner, np.asarray([[0.5, 0.5]]))[0] == pytest.approx([0.5, 0.5])


def test_who_was_seen_or_has_no_resolution_is_refused(tmp_path: Path) -> None:
    def run(net: nn.Module, seen: tuple[str, ...] = (), mpp: float | None = 0.25, patient: str = "mitos/03") -> None:
        with torch.inference_mode():
            detect_peaks(net, [_store(tmp_path, mpp)], [patient], fold="1", seen=seen, say=lambda _: None)

    with pytest.raises(ValueError, match="its weights saw patients mitos/03"):
        run(_Darkness(), seen=("mitos/03",))
    with pytest.raises(ValueError, match="states no resolution"):
        run(_Darkness(), mpp=None)
    with pytest.raises(ValueError, match="no store has labelled pictures of patient mitos/04"):
        run(_Darkness(), patient="mitos/04")
    with pytest.raises(ValueError, match="give a run of a triage recipe"):
        run(nn.Identity())
