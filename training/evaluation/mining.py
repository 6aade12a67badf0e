"""Nuclei that a verifier takes for mitotic figures, and are none: places to teach the next verifier by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from serving.datasets.store import Dataset, Picture
from training.data.candidates import LABELS, LabelledPlaces, is_small, read_candidates
from training.data.combined_stores import full_id
from training.data.verifier_windows import Draw, VerifierWindows
from training.recipes.verifier import VerifierRecipe, predict_probabilities


@dataclass(frozen=True, slots=True)
class MiningAmounts:
    """How many nuclei of each picture are looked at and taken.

    nuclei : darkest ones to look at; hardest : of those, the ones that the verifier is surest of; others : drawn from the rest
    """

    nuclei: int = 400
    hardest: int = 110
    others: int = 40


@dataclass(frozen=True, slots=True)
class MinedPoint:
    """A nucleus. picture : see `full_id`; x, y : its centre, px; probability : that it is a figure, by the verifier."""

    picture: str
    x: float
    y: float
    probability: float


def mine_nuclei(
    recipe: VerifierRecipe,
    model: nn.Module,
    dataset: Dataset,
    amounts: MiningAmounts,
    *,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Iterator[MinedPoint]:
    """The nuclei of labelled pictures that are farther from every label than the matching radius, hardest first.

    recipe, model : of a finished run; see `load_run`. Crops are passed over: their negatives are drawn beside their figures
    """
    rng = np.random.default_rng(seed)
    model.to(memory_format=torch.channels_last)
    for picture in dataset:
        candidates = _nuclei(picture, Path(dataset.root), amounts.nuclei)
        if candidates is None:
            continue
        other = np.flatnonzero(candidates.label == LABELS.index("other"))
        draw = (Draw(label="other", count=1),)
        windows = VerifierWindows(candidates, draw, recipe.classes, recipe.geometry)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            probabilities = predict_probabilities(model, windows, other).numpy()
        order = np.argsort(-probabilities, kind="stable")
        rest = rng.permutation(order[amounts.hardest :])[: amounts.others]
        chosen = np.concatenate([order[: amounts.hardest], rest])
        say(f"{picture.id}: {len(chosen)} of {len(other)} nuclei, {int((probabilities > 0.5).sum())} taken for figures")
        for i in chosen:
            x, y = candidates.centre[other[i]].tolist()
            yield MinedPoint(full_id(picture), x, y, float(probabilities[i]))


def _nuclei(picture: Picture, root: Path, most: int) -> LabelledPlaces | None:
    """The places of a field, of which some are nuclei; None of a crop, or where nobody looked."""
    if not picture.labelled or is_small(picture):
        return None
    candidates = read_candidates([picture], root, per_picture=most)
    return candidates if (candidates.label == LABELS.index("other")).any() else None
