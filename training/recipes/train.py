"""One training of one model class by one recipe."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from training.data.samples import EpochSamples, collate_boxes, collate_scores, negatives_of
from training.data.sampling import Negatives, epoch, training_events
from training.data.sub_tiles import SubTiles
from training.engine.distributed import Process
from training.engine.trainer import Plan, fit
from training.evaluation.detection_ap import coco_ap
from training.evaluation.predict import beside_truth, predict
from training.models.initial import initialise, load_trained
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import MODELS, SubTileNet, build
from training.recipes.recipe import Recipe, optimiser, rate

VALIDATION_LIMIT = 20_000
"""Sub-tiles that a validation looks at, at most."""


def train(
    recipe: Recipe,
    table: SubTiles,
    validation: SubTiles | None,
    *,
    root: Path,
    out: Path,
    process: Process,
    reg_run: Path | None = None,
    start: Path | None = None,
    say: Callable[[str], None] = print,
) -> SubTileNet | SubTileDetector:
    """Train, keep the weights of the best validation, and leave them with recipe and logs in `out`.

    Best: the lowest loss for BC, Reg and Reg-NS, the highest mAP over positive sub-tiles for Det (paper, Appendix B).
    A run that is there already, finished or not, is gone on with; `out` holds one recipe only.

    table, validation : sub-tiles of pictures of different patients; without validation the last weights are the result
    reg_run : `model.pt` whose backbone to start from, for the initialisation "reg"
    start : `model.pt` of the same class to go on from with this recipe: fine-tuning

    Raises
    ------
    ValueError
        If `out` holds a run of another recipe, a patient is in both tables, or no event to validate on.
    """
    if validation is not None:
        _check(table, validation)
    if process.leads:
        out.mkdir(parents=True, exist_ok=True)
        _claim(out, recipe)
    torch.manual_seed(recipe.seed)
    model = build(recipe.model, backbone=recipe.backbone, side=recipe.side, pretrained=recipe.pretrained)
    if start is not None:
        load_trained(model, start)
        said = f"weights of {start}"
    else:
        said = initialise(model, recipe.initialisation, reg_run=reg_run)
    if process.leads:
        say(f"{recipe.model} from {said}")
    samples = EpochSamples(table, root, training_events(table, limit=recipe.events, seed=recipe.seed), recipe)
    steps = samples.length // recipe.batch
    plan = Plan(
        recipe.seed,
        steps=steps * recipe.epochs,
        batch=recipe.batch,
        accumulate=recipe.accumulate,
        precision=recipe.precision,
        validate_every=steps if validation is not None else 0,
        clip_norm=float("inf") if recipe.clip_norm is None else recipe.clip_norm,
    )
    fit(
        plan,
        model,
        samples,
        collate=collate_scores if isinstance(model, SubTileNet) else collate_boxes,
        optimizer=optimiser(recipe, model),
        rate=lambda step: rate(recipe, step, steps),
        out=out,
        process=process,
        validate=None if validation is None else lambda: validation_figure(model, recipe, validation, root),
        say=say,
    )
    return model


def validation_figure(model: SubTileNet | SubTileDetector, recipe: Recipe, table: SubTiles, root: Path) -> float:
    """Loss of a net, or 1 - mAP of a detector, over sub-tiles drawn once for all; lower is better."""
    events = training_events(table, limit=None, seed=0)
    boxes = MODELS[recipe.model].target == "boxes"
    # The authors tried negatives in the validation of detectors, and they hurt (Appendix B).
    asked = Negatives(count=0) if boxes else negatives_of(recipe)
    count = min(asked.number(len(events)), int(asked.allowed(table).sum()))
    negatives = Negatives(count=count, exclude_ambiguous=asked.exclude_ambiguous)
    chosen = epoch(table, events, negatives, seed=0, number=0)[:VALIDATION_LIMIT]
    found = predict(model, table, root, chosen)
    if isinstance(model, SubTileNet):
        return _loss(model, found.scores, table.scores[chosen])
    return 1.0 - coco_ap(beside_truth(found, table, chosen)).ap_50_95


def _loss(model: SubTileNet, scores: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    output, target = torch.from_numpy(scores), torch.from_numpy(targets)
    if model.target == "class":
        return float(F.binary_cross_entropy(output.clamp(1e-7, 1 - 1e-7), (target > 0).float()))
    return float(F.mse_loss(output, target))


def _check(table: SubTiles, validation: SubTiles) -> None:
    both = {p.patient for p in table.pictures} & {p.patient for p in validation.pictures}
    if both:
        raise ValueError(f"patients {sorted(both)[:5]} are in training and in validation")
    if not len(validation.boxes):
        raise ValueError("the pictures to validate on hold no mitotic figure; hold out other patients, or none")


def _claim(out: Path, recipe: Recipe) -> None:
    """Write the recipe, or check that the folder's is the same."""
    path = out / "recipe.json"
    stated = json.dumps(asdict(recipe), indent=1)
    if path.is_file() and path.read_text() != stated:
        raise ValueError(f"{out} holds a run of another recipe; choose another folder")
    path.write_text(stated)
