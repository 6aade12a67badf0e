"""Runs of `train` as folders: what a request asks for, and what a finished run is read back as."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from training.cli.arguments import Initial
from training.data.splits import Split, split_by_patient
from training.data.store import Dataset, Picture, read_store
from training.data.sub_tiles import sub_tiles_of
from training.engine.distributed import Process
from training.models.initial import load_trained
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import MODELS, ModelName, SubTileNet, build
from training.recipes.recipe import PRESETS, Recipe, read_overrides, read_recipe, with_overrides
from training.recipes.train import train

MPP_RANGE = (0.22, 0.28)
"""Pictures are shown to models as they are: these are the resolutions at which serving does the same."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `training train` takes. validation, test : shares of the patients; 0 for none"""

    model: ModelName
    data: Path
    preset: str = "default"
    overrides: Path | None = None
    initial: Initial | None = None
    start: Path | None = None
    validation: float = 0.15
    test: float = 0.0
    test_patients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Patients:
    """Whom a run saw, by use: `split.json` in its folder."""

    data: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def of(cls, data: str, split: Split) -> "Patients":
        """The patients of a split."""
        train, validation, test = (
            tuple(sorted({p.patient for p in part})) for part in (split.train, split.validation, split.test)
        )
        return cls(data, train, validation, test)


def train_run(request: RunRequest, out: Path, process: Process) -> None:
    """Train by a request; `out` then holds weights, recipe, split and logs.

    Raises
    ------
    ValueError
        If the request does not fit the data or the run to start from, or `out` holds another run.
    """
    recipe = recipe_of(request)
    dataset = read_store(request.data)
    check_resolution(dataset)
    split = split_by_patient(
        dataset.pictures,
        validation=request.validation,
        test=request.test,
        seed=recipe.seed,
        test_patients=request.test_patients,
    )
    if process.leads:
        out.mkdir(parents=True, exist_ok=True)
        _claim_split(out, Patients.of(dataset.name, split))
    train(
        recipe,
        sub_tiles_of(split.train, around_labels=recipe.around_labels),
        sub_tiles_of(split.validation, around_labels=recipe.around_labels) if split.validation else None,
        root=Path(dataset.root),
        out=out,
        process=process,
        reg_run=request.initial.reg_run if request.initial else None,
        start=request.start,
    )


def recipe_of(request: RunRequest) -> Recipe:
    """The preset with the overrides; what fixes the weights' shape comes from the run to start from, if there is one."""
    if request.model not in MODELS:
        raise ValueError(f"no model class {request.model}; there are {', '.join(MODELS)}")
    source = request.initial.source if request.initial else "torchvision"
    recipe = PRESETS[request.preset](request.model, source)
    if request.overrides is not None:
        recipe = with_overrides(recipe, read_overrides(request.overrides))
    if request.start is None:
        return recipe
    before = read_recipe(request.start.parent)
    if (MODELS[before.model].target == "boxes") != (MODELS[recipe.model].target == "boxes") or (
        (before.model == "BC") != (recipe.model == "BC")
    ):
        raise ValueError(f"{recipe.model} cannot start from a run of {before.model}: their outputs differ")
    shape = {"backbone": before.backbone, "side": before.side, "initialisation": before.initialisation}
    return with_overrides(recipe, shape)


def load_run(run: Path) -> tuple[Recipe, SubTileNet | SubTileDetector]:
    """Recipe and trained model of a run, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished run.
    """
    recipe = read_recipe(run)
    if not (run / "model.pt").is_file():
        raise FileNotFoundError(f"the run in {run} is not finished: give its `train` command again")
    model = build(recipe.model, backbone=recipe.backbone, side=recipe.side, pretrained=recipe.pretrained)
    load_trained(model, run / "model.pt")
    return recipe, model.eval()


def read_patients(run: Path) -> Patients | None:
    """Whom a run saw; None where it does not say."""
    path = run / "split.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text())
    return Patients(values["data"], *(tuple(values[k]) for k in ("train", "validation", "test")))


def unseen(dataset: Dataset, patients: Patients | None) -> list[Picture]:
    """Labelled pictures of patients that a run neither learnt from nor validated on."""
    seen = set() if patients is None else {*patients.train, *patients.validation}
    return [p for p in dataset.pictures if p.labelled and p.patient not in seen]


def check_resolution(dataset: Dataset) -> None:
    """Refuse pictures that models would see at another scale than serving shows them.

    Raises
    ------
    ValueError
        If a labelled picture states a resolution out of range; the message names it.
    """
    low, high = MPP_RANGE
    for picture in dataset.pictures:
        if picture.labelled and picture.mpp is not None and not low <= picture.mpp <= high:
            raise ValueError(
                f"{picture.path} has {picture.mpp:g} um/px; models are trained at {low} to {high}: resample the picture"
            )


def _claim_split(out: Path, patients: Patients) -> None:
    path, stated = out / "split.json", json.dumps(asdict(patients), indent=1)
    if path.is_file() and path.read_text() != stated:
        raise ValueError(f"{out} holds a run on other patients; choose another folder")
    path.write_text(stated)
