"""The study at three scales: which data, how large the models, how many events."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from serving.datasets.store import Dataset, read_store, write_store
from training.models.classes import MODELS
from training.paper.grid import PAPER_SIZES, Sizes
from training.paper.scale_data import generate_data, make_real_data, pretrain_trunk
from training.recipes.reading import change_recipe, load_recipe
from training.recipes.sub_tiles import SubTileRecipe


@dataclass(frozen=True, slots=True)
class Scale:
    """What `training reproduce --scale` takes.

    data : writes pictures and labels into a folder, once; pictures of patients whose name starts with "test" are the
        test set; `records.jsonl` beside them holds what each labeler said
    """

    name: str
    about: str
    sizes: Sizes
    data: Callable[[Path], Dataset]
    initial: Callable[[Path], str]
    """Initial weights, as `initial.initialise` takes them; may make them in a folder, once."""
    nets: dict[str, Any]
    detectors: dict[str, Any]
    """Changes to the paper's recipe."""
    test_negatives: int | None = None
    """Test sub-tiles without anything of a figure that models are judged on, drawn by seed; None for all."""

    def recipes(self, initialisation: str) -> dict[str, SubTileRecipe]:
        """The recipe of each model class."""
        return {name: self._recipe(name, initialisation) for name in MODELS}

    def _recipe(self, name: str, initialisation: str) -> SubTileRecipe:
        paper = cast(SubTileRecipe, load_recipe(name, "paper"))
        changes = self.detectors if paper.learns_boxes else self.nets
        return cast(SubTileRecipe, change_recipe(paper, {**changes, "initialisation": initialisation}, self.name))


def _paper_data(folder: Path) -> Dataset:
    path = folder / "store.json"
    raise FileNotFoundError(
        f"the paper's scale trains on your own data: import them (`training import`), and put the store at {path}; "
        'patients whose name starts with "test" are the test set'
    )


def prepare_data(scale: Scale, folder: Path) -> Dataset:
    """The scale's data, made on first use."""
    folder = folder.resolve()
    path = folder / "store.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_store(scale.data(folder), path)
    return read_store(path)


_MICRO: dict[str, Any] = {"backbone": "micro", "precision": "float32"}
_SMALL = _MICRO | {"batch": 16, "side": 125, "augmentation": "stain-safe"}

SCALES: dict[str, Scale] = {
    "tiny": Scale(
        "tiny",
        "generated tissue, a micro ResNet from random weights, a handful of steps: proves the machinery, says nothing of models",
        Sizes((2, 3, 4, 6, 8, None), (2, 3, 4, 6, 8), {"Det": (0, 5), "Det-WL": (5,)}),
        lambda folder: generate_data(folder, patients=6, tests=2, side=875),
        lambda _: "none",
        _MICRO | {"batch": 8, "epochs": 2, "step_epochs": 1, "side": 64, "learning_rate": 0.001},
        _MICRO | {"batch": 8, "epochs": 1, "step_epochs": 1, "side": 64},
        test_negatives=20,
    ),
    "small": Scale(
        "small",
        "collages of real crops with a simulated crowd, tested on the ICPR 2012 fields; a micro ResNet that was pretrained "
        "on other crops, in ImageNet's place, sees sub-tiles at 125 px, with stain-safe augmentation and few epochs",
        Sizes((25, 50, 100, 150, 200, None), (25, 50, 100, 150, 200)),
        lambda folder: make_real_data(folder, tiles=150, share=0.03),
        lambda folder: pretrain_trunk(folder / "pretraining"),
        _SMALL | {"epochs": 8, "step_epochs": 6, "learning_rate": 0.002},
        # Without a longest gradient one of 21 detectors diverged.
        _SMALL | {"epochs": 5, "step_epochs": 6, "learning_rate": 0.05, "clip_norm": 5.0},
        test_negatives=400,
    ),
    "paper": Scale(
        "paper",
        "the paper's own sizes and recipe, on your data",
        PAPER_SIZES,
        _paper_data,
        lambda _: "torchvision",
        {},
        {},
    ),
}
