"""What a viewer corrected is learnt: a model that took look-alikes for figures changes its mind."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from serving.synthetic.field import SyntheticTissue
from serving.wsi.geometry import Region
from training.arguments import Initial
from training.datasets.store import Annotation, Dataset, Picture, write_store
from training.processes import Process
from training.study.predict import predict
from training.study.runs import RunRequest, load_run, train_run
from training.study.sub_tiles import SubTiles, sub_tiles_of

pytestmark = pytest.mark.integration

SIDE_PX = 1250
TISSUE = SyntheticTissue(100, mitoses_per_mm2=60, lookalikes_per_mm2=60)
FOOLED = """
backbone = "micro"
side = 125
batch = 16
epochs = 12
step_epochs = 10
learning_rate = 2e-3
augmentation = "stain-safe"
"""
CORRECTED = """
batch = 16
epochs = 10
step_epochs = 8
learning_rate = 1e-3
augmentation = "stain-safe"
hard_share = 0.75
negatives_ratio = 2.0
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # two trainings: a minute alone, several beside other work
def test_a_fine_tuned_model_changes_its_mind_about_corrected_errors(tmp_path: Path) -> None:
    """First run: a crowd that boxes every look-alike. Second run: other tissue, look-alikes rejected."""
    corrected = [_picture(tmp_path, place, rejected=True) for place in range(10, 13)]
    fooled = [_picture(tmp_path, place, rejected=False) for place in range(5)]
    _train(tmp_path, "fooled", fooled, FOOLED, start=None)
    _train(tmp_path, "corrected", corrected, CORRECTED, start=tmp_path / "fooled" / "model.pt")
    table = sub_tiles_of(corrected)
    before, after = (_scores(tmp_path, name, table) for name in ("fooled", "corrected"))
    figures, lookalikes = np.unique(table.sub_tile[table.fraction > 0.9]), np.flatnonzero(table.hard)
    assert before[lookalikes].mean() > 0.3
    assert after[lookalikes].mean() < 0.5 * before[lookalikes].mean()
    # It did not simply learn to say no: figures still stand out, more than they did.
    assert after[figures].mean() > 0.7
    gap = (before[figures].mean() - before[lookalikes].mean(), after[figures].mean() - after[lookalikes].mean())
    assert gap[1] > gap[0]


def test_a_start_of_another_kind_is_refused(tmp_path: Path) -> None:
    picture = _picture(tmp_path, 0, rejected=False)
    _train(tmp_path, "fooled", [picture], FOOLED.replace("epochs = 12", "epochs = 1"), start=None)
    with pytest.raises(ValueError, match="Det cannot start from a run of Reg-NS"):
        _train(tmp_path, "other", [picture], "", start=tmp_path / "fooled" / "model.pt", model="Det")


def _picture(folder: Path, place: int, *, rejected: bool) -> Picture:
    """A part of one tissue, other for each place."""
    part = Region(place * SIDE_PX, 0, SIDE_PX, SIDE_PX)
    Image.fromarray(TISSUE.draw(part)).save(folder / f"{place}.png")
    figures = [Annotation(box=_box(b), label="mitotic figure", agreement=1) for b in TISSUE.boxes(part, "figure")]
    alike = [
        Annotation(box=_box(b), label="look-alike", agreement=0)
        if rejected
        else Annotation(box=_box(b), label="mitotic figure", agreement=1)
        for b in TISSUE.boxes(part, "lookalike")
    ]
    return Picture(
        id=str(place),
        path=f"{place}.png",
        width=SIDE_PX,
        height=SIDE_PX,
        mpp=0.25,
        slide=str(place),
        patient=str(place),
        annotations=(*figures, *alike),
    )


def _box(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2


def _train(
    folder: Path, name: str, pictures: list[Picture], recipe: str, *, start: Path | None, model: str = "Reg-NS"
) -> None:
    data, overrides = folder / f"{name}.json", folder / f"{name}.toml"
    write_store(Dataset(name=name, format="test", licence="none", root=str(folder), pictures=tuple(pictures)), data)
    overrides.write_text(recipe)
    request = RunRequest(
        model,  # type: ignore[arg-type]  # one of the seven names
        data,
        "paper",
        overrides=overrides,
        initial=Initial("none"),
        start=start,
        validation=0.0,
    )
    train_run(request, folder / name, Process(0, 1, torch.device("cpu")))


def _scores(folder: Path, name: str, table: SubTiles) -> NDArray[np.float32]:
    _, model = load_run(folder / name)
    return predict(model, table, folder, np.arange(len(table))).scores
