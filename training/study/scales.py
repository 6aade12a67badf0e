"""The study at three scales: which data, how large the models, how many events."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.synthetic.field import generate_field
from training.datasets.crops import CROP_PX, read_crops
from training.datasets.icpr2012 import read_fields
from training.datasets.root import data_root
from training.datasets.store import Annotation, Dataset, Picture, box_of, read_store, write_store
from training.labels.consensus import CROWD, EXPERT, labelled
from training.labels.labelers import CROWD_LABELERS, EXPERT_LABELERS, draw_boxes
from training.study.grid import PAPER_SIZES, Sizes
from training.study.models import MODELS, ModelName
from training.study.recipe import Recipe, paper, with_overrides
from training.windows import collage_tile

DATA_SEED = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """What `training reproduce --scale` takes.

    data : writes pictures and labels into a folder, once; pictures of patients whose name starts with "test" are the
        test set
    """

    name: str
    about: str
    sizes: Sizes
    data: Callable[[Path], Dataset]
    nets: dict[str, Any]
    detectors: dict[str, Any]
    """Changes to the paper's recipe."""

    def recipes(self, initialisation: str) -> dict[ModelName, Recipe]:
        """The recipe of each model class."""
        return {
            name: with_overrides(paper(name, initialisation), self.detectors if row.target == "boxes" else self.nets)
            for name, row in MODELS.items()
        }


def generated(folder: Path, *, patients: int, tests: int, side: int) -> Dataset:
    """Generated tissue: a field a patient, labelled by a simulated crowd; the test patients by simulated experts."""
    pictures = []
    for number in range(patients + tests):
        test = number >= patients
        patient = f"{'test' if test else 'train'}-{number:02d}"
        tissue = generate_field(seed=9_000 + number, width=side, height=side, mitoses_per_mm2=40, lookalikes_per_mm2=40)
        rng = np.random.default_rng([DATA_SEED, number])
        labelers, rule = (EXPERT_LABELERS, EXPERT) if test else (CROWD_LABELERS, CROWD)
        tile = _save(folder, patient, tissue.pixels, patient)
        looks = draw_boxes(tile, tissue.mitotic_figures, tissue.lookalikes, labelers, rng)
        pictures.append(labelled(tile, looks, rule))
    return Dataset(
        name="generated tissue", format="generated", licence="CC0-1.0", root=str(folder), pictures=tuple(pictures)
    )


def real(folder: Path, *, tiles: int, share: float) -> Dataset:
    """Real figures: tiles of crops, labelled by a simulated crowd, to train on; the ICPR 2012 fields as the test set.

    Each tile holds 64 crops of one group of cases; in all but `share` of them the figure is covered.
    """
    bank, pictures = read_crops(data_root()), []
    groups = np.array_split(np.random.default_rng(DATA_SEED).permutation(np.unique(bank.cases)), tiles)
    for number, cases in enumerate(groups):
        rng = np.random.default_rng([DATA_SEED, number])
        pixels, boxes = collage_tile(bank, np.flatnonzero(np.isin(bank.cases, cases)), share, rng)
        name = f"train-{number:02d}"
        tile = _save(folder, name, pixels, name)
        looks = draw_boxes(tile, boxes, np.empty((0, 4), np.float32), CROWD_LABELERS, rng)
        pictures.append(labelled(tile, looks, CROWD))
    for field in read_fields(data_root()):
        tile = _save(folder, f"test-{field.name}", field.pixels, f"test-{field.slide}")
        truth = tuple(Annotation(box=box_of(b), label="mitotic figure", agreement=1.0) for b in field.boxes)
        pictures.append(tile.model_copy(update={"annotations": truth}))
    return Dataset(
        name=f"collages of {CROP_PX} px crops; ICPR 2012 fields",
        format="collage",
        licence="research use; see the model cards",
        root=str(folder),
        pictures=tuple(pictures),
    )


def _save(folder: Path, name: str, pixels: NDArray[np.uint8], patient: str) -> Picture:
    Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=95)
    height, width = pixels.shape[:2]
    return Picture(
        id=name,
        path=f"{name}.jpg",
        width=width,
        height=height,
        mpp=0.25,
        slide=name,
        patient=patient,
    )


def _paper_data(folder: Path) -> Dataset:
    path = folder / "store.json"
    raise FileNotFoundError(
        f"the paper's scale trains on your own data: import them (`training import`), and put the store at {path}; "
        'patients whose name starts with "test" are the test set'
    )


def prepared(scale: Scale, folder: Path) -> Dataset:
    """The scale's data, made on first use."""
    path = folder / "store.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_store(scale.data(folder), path)
    return read_store(path)


_TINY: dict[str, Any] = {"backbone": "micro", "batch": 8, "precision": "float32"}
_SMALL: dict[str, Any] = {"backbone": "resnet18", "batch": 16, "precision": "bfloat16"}

SCALES: dict[str, Scale] = {
    "tiny": Scale(
        "tiny",
        "generated tissue, a micro ResNet from random weights, a handful of steps: proves the machinery, says nothing of models",
        Sizes((2, 3, 4, 6, 8, None), (2, 3, 4, 6, 8)),
        lambda folder: generated(folder, patients=6, tests=2, side=1250),
        {**_TINY, "epochs": 2, "step_epochs": 1, "side": 64, "learning_rate": 0.001},
        {**_TINY, "epochs": 1, "step_epochs": 1, "side": 96},
    ),
    "small": Scale(
        "small",
        "collages of real crops with a simulated crowd; tested on the ICPR 2012 fields; ResNet18 from random weights",
        Sizes((25, 50, 100, 200, 300, None), (25, 50, 100, 200, 300)),
        lambda folder: real(folder, tiles=200, share=0.03),
        {**_SMALL, "epochs": 12, "step_epochs": 5, "side": 125, "learning_rate": 0.001},
        {**_SMALL, "epochs": 4, "step_epochs": 3, "side": 250},
    ),
    "paper": Scale("paper", "the paper's own sizes and recipe, on your data", PAPER_SIZES, _paper_data, {}, {}),
}
