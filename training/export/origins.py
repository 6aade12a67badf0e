"""What the weights of runs come from, as cards and folds' files state it."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from serving.core.card_parts import DataSource
from training.recipes.reading import read_recipe
from training.recipes.record import read_record
from training.recipes.registry import RecipeKind

_RUN = re.compile(r"(?:[^\s,]*/)?([^\s,/]+)/model\.pt")
"""Weights of a run, as its record states them: where they lay on one machine is nobody's business on another."""


def data_of_runs(runs: Sequence[Path]) -> list[DataSource]:
    """What the weights of runs come from: initial weights, stores with counts and licence, recipes, seeds and code.

    Stores of which nothing was learnt are left out.
    """
    sources: list[DataSource] = []
    for run in runs:
        record, recipe = read_record(run), read_recipe(run)
        if record is None:
            continue
        sources.append(
            DataSource(
                name=f"{recipe.model_name()} by recipe {recipe_digest(recipe)}, seed {recipe.seed}, {record.code}",
                use="initial weights: " + _RUN.sub(r"run \1", record.initial),
                licence="see their source",
            )
        )
        patients = f"{len(record.train)} patients in all"
        for store in (s for s in (*record.initial_data, *record.stores) if s.pictures):
            counted = (
                f"{store.pictures:,} pictures of {store.patients:,} patients, {store.figures:,} figures, "
                f"{store.look_alikes:,} look-alikes"
            )
            where = "learnt from" if store in record.stores else "learnt from by the run that it started from"
            sources.append(
                DataSource(
                    name=f"{store.name} ({store.format}): {counted}", use=f"{where}; {patients}", licence=store.licence
                )
            )
    return list({(s.name, s.use): s for s in sources}.values())


def recipe_digest(recipe: RecipeKind, *, of_any_seed: bool = False) -> str:
    """SHA-256 of a recipe as its run states it, its first 12 digits.

    of_any_seed : leave out what differs between runs of one recipe on one machine and another: the seed, and where files lie
    """
    left_out = {"seed", "initialisation", "points"} if of_any_seed else None
    return hashlib.sha256(recipe.model_dump_json(indent=1, exclude=left_out).encode()).hexdigest()[:12]
