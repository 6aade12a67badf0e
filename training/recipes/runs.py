"""Runs of `train` as folders: what a request asks for, and what a finished run is read back as."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from serving.datasets.store import Dataset, read_store
from training.data.combined_stores import combine_datasets
from training.data.sampling import Split, split_by_patient
from training.engine.distributed import Process
from training.engine.trainer import fit
from training.models.initial import initialise, load_weights
from training.recipes.reading import change_recipe, claim_folder, load_recipe, read_changes, read_recipe
from training.recipes.record import RunRecord, claim_record, make_record, read_record
from training.recipes.registry import RecipeKind, Start, TrainingData

MPP_RANGE = (0.22, 0.28)
"""Pictures are shown to models as they are: these are the resolutions at which serving does the same."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `training train` takes.

    recipe : a class of the paper, a shipped recipe, or a TOML file
    data : stores; validation, test : shares of the patients; 0 for none
    initial : initial weights, in place of the recipe's; see `models.initial.initialise`
    start : weights to begin with, in place of initial ones
    """

    recipe: str
    data: tuple[Path, ...]
    preset: str = "default"
    overrides: Path | None = None
    seed: int | None = None
    initial: str | None = None
    start: Start = field(default_factory=Start)
    validation: float = 0.15
    test: float = 0.0
    test_patients: tuple[str, ...] = ()


def train_run(request: RunRequest, out: Path, process: Process, say: Callable[[str], None] = print) -> None:
    """Train by a request; `out` then holds weights, recipe, record and logs.

    A run that is there already, finished or not, is gone on with.

    Raises
    ------
    ValueError
        If the request does not fit the data or the run to start from, that run saw patients whom this one leaves alone, or `out`
        holds another run.
    """
    recipe = resolve_recipe(request)
    datasets = [read_store(path) for path in request.data]
    dataset = combine_datasets(datasets)
    check_resolution(dataset)
    split = split_by_patient(
        dataset.pictures,
        validation=request.validation,
        test=request.test,
        seed=recipe.seed,
        test_patients=request.test_patients,
    )
    before = [record for run in request.start.runs() if (record := read_record(run)) is not None]
    _check_left_alone(split, before)
    model, said = begin(recipe, request.start)
    if process.leads:
        claim_record(out, make_record(datasets, split, initial=said, before=before))
        claim_folder(out, recipe)
        say(f"{recipe.model_name()} from {said}")
    train(
        recipe,
        model,
        TrainingData(split.train, split.validation, Path(dataset.root)),
        out=out,
        process=process,
        say=say,
    )


def _check_left_alone(split: Split, before: Sequence[RunRecord]) -> None:
    """Refuse to start from weights that saw a patient whom this run leaves alone, in a crop or on another scanner, too.

    Whoever judges such a run refuses it, but only after hours of training.
    """
    left = {picture.patient for picture in split.test}
    if seen := sorted(left & frozenset[str]().union(*(record.seen for record in before))):
        raise ValueError(
            f"the run to start from saw {', '.join(seen[:5])}, which this one leaves alone: train that run without them "
            "(--test-patients), their crops included, or let this one learn from them"
        )


def train(
    recipe: RecipeKind,
    model: nn.Module,
    data: TrainingData,
    *,
    out: Path,
    process: Process,
    say: Callable[[str], None] = print,
) -> None:
    """Train a model on pictures of different patients, and leave weights, recipe and logs in `out`.

    Raises
    ------
    ValueError
        If a patient is both learnt from and validated on, or `out` holds a run of another recipe.
    """
    both = {p.patient for p in data.train} & {p.patient for p in data.validation}
    if both:
        raise ValueError(f"patients {sorted(both)[:5]} are in training and in validation")
    if process.leads:
        claim_folder(out, recipe)
    fit(recipe.task(model, data), out=out, process=process, say=say)


def begin(recipe: RecipeKind, start: Start) -> tuple[nn.Module, str]:
    """The model that a training begins with, and where its weights come from, in words."""
    torch.manual_seed(recipe.seed)
    model = recipe.build()
    if start.run is not None:
        load_weights(model, start.run)
        said = f"weights of {start.run}"
    else:
        said = initialise(model, recipe.initialisation, reg_run=start.reg)
    if start.trunk is not None:
        take_parts(recipe, model, start.trunk)
        said = f"{said}, trunk of {start.trunk}"
    return model, said


def take_parts(recipe: RecipeKind, model: nn.Module, path: Path) -> None:
    """Take what a recipe takes of another run's `model.pt`, as far as the other model has it.

    Raises
    ------
    ValueError
        If the file holds nothing of it.
    """
    state, own = torch.load(path, weights_only=True, map_location="cpu"), model.state_dict()
    renamed = {
        mine + name.removeprefix(theirs): value
        for theirs, mine in recipe.takes.items()
        for name, value in state.items()
        if name.startswith(theirs)
    }
    taken = {name: value for name, value in renamed.items() if name in own and own[name].shape == value.shape}
    if not taken:
        raise ValueError(f"{path} holds no tensor of this trunk")
    model.load_state_dict({**own, **taken})


def resolve_recipe(request: RunRequest) -> RecipeKind:
    """The recipe with the request's changes; what fixes the weights' shape comes from the run to start from, if any."""
    recipe = load_recipe(request.recipe, request.preset)
    if request.overrides is not None:
        recipe = change_recipe(recipe, read_changes(request.overrides), str(request.overrides))
    if request.seed is not None:
        recipe = change_recipe(recipe, {"seed": request.seed})
    if request.initial is not None:
        recipe = change_recipe(recipe, {"initialisation": request.initial})
    if request.start.run is None:
        return recipe
    before = read_recipe(request.start.run.parent)
    recipe.check_start(before)
    return change_recipe(recipe, {name: getattr(before, name) for name in recipe.follows})


def load_run(run: Path) -> tuple[RecipeKind, nn.Module]:
    """Recipe and trained model of a run, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished run.
    """
    recipe = read_recipe(run)
    model = recipe.build()
    load_weights(model, find_weights(run))
    return recipe, model.eval()


def find_weights(run: Path) -> Path:
    """`model.pt` of a run; raises `FileNotFoundError` if it is not finished."""
    path = run / "model.pt"
    if not path.is_file():
        raise FileNotFoundError(f"the run in {run} is not finished: give its `train` command again")
    return path


def weights_without(runs: Path, patient: str) -> Path:
    """Folder of a run that never saw a patient: `runs`/without-<patient>, or `runs` itself.

    Raises
    ------
    FileNotFoundError
        If neither is a finished run.
    ValueError
        If the run does not state that it never saw the patient.
    """
    fold = runs / f"without-{patient.replace('/', '-')}"
    run = fold if fold.is_dir() else runs
    find_weights(run)
    record = read_record(run)
    if record is None or patient in record.seen:
        raise ValueError(f"{run} does not state in run.json that it never saw {patient}; judge it on others")
    return run


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
