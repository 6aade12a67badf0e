"""Outcomes of a whole grid that nobody trained: scores drawn so that models differ as the paper's do."""

import numpy as np
from numpy.typing import NDArray

from training.models.classes import MODELS
from training.paper.grid import Sizes, jobs
from training.paper.outcome import GridOutcome
from training.recipes.reading import load_recipe
from training.recipes.sub_tiles import SubTileRecipe

SIZES = Sizes((2, 3, 4, 6, 8, None), (2, 3, 4, 6, 8))


def papers_recipes() -> dict[str, SubTileRecipe]:
    """The paper's recipe of each class."""
    found = {name: load_recipe(name, "paper") for name in MODELS}
    return {name: recipe for name, recipe in found.items() if isinstance(recipe, SubTileRecipe)}


def draw_outcomes(sub_tiles: int = 1000) -> tuple[dict[str, GridOutcome], NDArray[np.bool_], NDArray[np.intp]]:
    """Outcomes by job, which sub-tiles are positive, and the patient of each of them."""
    rng = np.random.default_rng(0)
    positive = rng.random(sub_tiles) < 0.1
    patient = np.repeat(np.arange(6), -(-sub_tiles // 6))[:sub_tiles]  # few patients have few draws that differ
    base = papers_recipes()
    outcomes = {}
    for job in jobs(base, SIZES):
        boxes = job.recipe.learns_boxes
        skill = 0.5 if job.start_from else 2.0
        level = 2.5 if boxes else -1.0 - 0.1 * (job.recipe.negatives_ratio or 0)
        logits = rng.normal(level + skill * positive, 1.2)
        scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        naive = "naive" in job.name
        outcomes[job.name] = GridOutcome(
            job.name, scores, 0.3 if boxes else float("nan"), 9.0 if naive else 2.0, 90 if naive else 20, scores[:7]
        )
    return outcomes, positive, patient
