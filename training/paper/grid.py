"""The trainings behind Tables 4 to 9: which exist, which depends on which, none twice."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.models.classes import MODELS
from training.recipes.reading import change_recipe
from training.recipes.sub_tiles import SubTileRecipe

RATIOS = (1.0, 2.0, 4.0, 10.0)
"""Negative : positive (paper, Table 7)."""
BACKBONE_MODELS: Mapping[str, tuple[int, ...]] = {"Det": (0, 1, 2, 3, 4, 5), "Det-WL": (0, 3, 4, 5)}
"""Rows of Table 8: positions in the list of sizes that each model was trained on."""
ALL = None


@dataclass(frozen=True, slots=True)
class GridJob:
    """One training. start_from : the job of a Reg run whose backbone it starts from (Table 8)."""

    name: str
    recipe: SubTileRecipe
    start_from: str | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """The columns of Tables 5 and 6: six numbers of events and of negatives, ascending; None is all."""

    events: tuple[int | None, ...]
    negatives: tuple[int, ...]
    """Absolute counts between 0 and "as many as events"."""
    backbones: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: BACKBONE_MODELS)
    """Rows of Table 8 that are trained, of `BACKBONE_MODELS`: each takes as many trainings as there are numbers of events."""


PAPER_SIZES = Sizes((1_000, 2_500, 5_000, 10_000, 20_000, ALL), (1_000, 2_500, 5_000, 10_000, 20_000))


class _SizesFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    events: list[int | Literal["all"]] = Field(min_length=6, max_length=6)
    negatives: list[int] = Field(min_length=5, max_length=5)


def read_sizes(path: Path) -> Sizes:
    """Sizes from a TOML file: `events`, six ascending numbers or "all", and `negatives`, five ascending numbers.

    Raises
    ------
    ValueError
        If the file is not that.
    """
    try:
        read = _SizesFile.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from None
    events = [math.inf if e == "all" else e for e in read.events]
    for name, numbers in (("events", events), ("negatives", read.negatives)):
        if sorted(set(numbers)) != numbers or numbers[0] < 1:
            raise ValueError(f'{path}: {name}: give rising numbers from 1, the last of the events may be "all"')
    return Sizes(tuple(ALL if e == "all" else e for e in read.events), tuple(read.negatives))


def job_name(model: str, *, events: int | None = ALL, negatives: str = "", backbone: str = "") -> str:
    """The name of a training in results and folders, e.g. `Reg-NS_all_4to1`."""
    parts = [model, "all" if events is ALL else str(events), negatives, backbone]
    return "_".join(p for p in parts if p)


def ratio_name(ratio: float) -> str:
    """`4to1` for four negatives a positive."""
    return f"{ratio:g}to1"


def jobs(base: dict[str, SubTileRecipe], sizes: Sizes) -> list[GridJob]:
    """Every training of the grid, those that others start from first.

    base : the recipe of each model class with its negatives at 1:1 where it has any
    """
    unique = {job.name: job for job in (*_sizes(base, sizes), *_negatives(base, sizes), *_naive(base))}
    return [*unique.values(), *_backbones(base, sizes)]


def _with(recipe: SubTileRecipe, values: dict[str, Any]) -> SubTileRecipe:
    return cast(SubTileRecipe, change_recipe(recipe, values, "grid"))


def _sizes(base: dict[str, SubTileRecipe], sizes: Sizes) -> Iterator[GridJob]:
    """Table 5, and the classes at all events for Tables 4 and 9."""
    models: tuple[str, ...] = ("Reg", "Det", "Det-WL")
    for model in models:
        for events in sizes.events:
            yield GridJob(job_name(model, events=events), _with(base[model], {"events": events}))
    yield GridJob(job_name("BC", negatives="1to1"), base["BC"])


def _negatives(base: dict[str, SubTileRecipe], sizes: Sizes) -> Iterator[GridJob]:
    """Tables 6 and 7."""
    for count in sizes.negatives:
        name = job_name("Reg-NS", negatives=f"{count}neg")
        yield GridJob(name, _with(base["Reg-NS"], {"negatives_count": count}))
    models: tuple[str, ...] = ("Reg-NS", "Det-NS", "Det-NS-WL")
    for model in models:
        for ratio in RATIOS:
            name = job_name(model, negatives=ratio_name(ratio))
            yield GridJob(name, _with(base[model], {"negatives_ratio": ratio}))


def _naive(base: dict[str, SubTileRecipe]) -> Iterator[GridJob]:
    """Naive aggregation, the comparator of the sampling strategy (Section 4.2)."""
    models: tuple[str, ...] = ("Reg-NS", "Det")
    for model in models:
        negatives = "1to1" if MODELS[model].negatives else ""
        name = f"{job_name(model, negatives=negatives)}_naive"
        yield GridJob(name, _with(base[model], {"strategy": "naive aggregation"}))


def _backbones(base: dict[str, SubTileRecipe], sizes: Sizes) -> Iterator[GridJob]:
    """Table 8: detectors from the backbone of each Reg run."""
    for model, rows in sizes.backbones.items():
        for row in rows:
            for reg_events in sizes.events:
                source = job_name("Reg", events=reg_events)
                name = job_name(model, events=sizes.events[row], backbone=f"from-{source}")
                recipe = _with(base[model], {"events": sizes.events[row], "initialisation": "reg"})
                yield GridJob(name, recipe, start_from=source)
