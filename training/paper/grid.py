"""The trainings behind Tables 4 to 9: which exist, which depends on which, none twice."""

from collections.abc import Iterator
from dataclasses import dataclass

from training.models.sub_tile_net import MODELS, ModelName
from training.recipes.recipe import Recipe, with_overrides

RATIOS = (1.0, 2.0, 4.0, 10.0)
"""Negative : positive (paper, Table 7)."""
BACKBONE_MODELS: dict[ModelName, tuple[int, ...]] = {"Det": (0, 1, 2, 3, 4, 5), "Det-WL": (0, 3, 4, 5)}
"""Rows of Table 8: positions in the list of sizes that each model was trained on."""
ALL = None


@dataclass(frozen=True, slots=True)
class Job:
    """One training. start_from : the job of a Reg run whose backbone it starts from (Table 8)."""

    name: str
    recipe: Recipe
    start_from: str | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """The columns of Tables 5 and 6: six numbers of events and of negatives, ascending; None is all."""

    events: tuple[int | None, ...]
    negatives: tuple[int, ...]
    """Absolute counts between 0 and "as many as events"."""


PAPER_SIZES = Sizes((1_000, 2_500, 5_000, 10_000, 20_000, ALL), (1_000, 2_500, 5_000, 10_000, 20_000))


def job_name(model: ModelName, *, events: int | None = ALL, negatives: str = "", backbone: str = "") -> str:
    """The name of a training in results and folders, e.g. `Reg-NS_all_4to1`."""
    parts = [model, "all" if events is ALL else str(events), negatives, backbone]
    return "_".join(p for p in parts if p)


def ratio_name(ratio: float) -> str:
    """`4to1` for four negatives a positive."""
    return f"{ratio:g}to1"


def jobs(base: "dict[ModelName, Recipe]", sizes: Sizes) -> list[Job]:
    """Every training of the grid, those that others start from first.

    base : the recipe of each model class with its negatives at 1:1 where it has any
    """
    unique = {job.name: job for job in (*_sizes(base, sizes), *_negatives(base, sizes), *_naive(base))}
    return [*unique.values(), *_backbones(base, sizes)]


def _sizes(base: "dict[ModelName, Recipe]", sizes: Sizes) -> Iterator[Job]:
    """Table 5, and the classes at all events for Tables 4 and 9."""
    models: tuple[ModelName, ...] = ("Reg", "Det", "Det-WL")
    for model in models:
        for events in sizes.events:
            yield Job(job_name(model, events=events), with_overrides(base[model], {"events": events}))
    yield Job(job_name("BC", negatives="1to1"), base["BC"])


def _negatives(base: "dict[ModelName, Recipe]", sizes: Sizes) -> Iterator[Job]:
    """Tables 6 and 7."""
    for count in sizes.negatives:
        name = job_name("Reg-NS", negatives=f"{count}neg")
        yield Job(name, with_overrides(base["Reg-NS"], {"negatives_count": count}))
    models: tuple[ModelName, ...] = ("Reg-NS", "Det-NS", "Det-NS-WL")
    for model in models:
        for ratio in RATIOS:
            name = job_name(model, negatives=ratio_name(ratio))
            yield Job(name, with_overrides(base[model], {"negatives_ratio": ratio}))


def _naive(base: "dict[ModelName, Recipe]") -> Iterator[Job]:
    """Naive aggregation, the comparator of the sampling strategy (Section 4.2)."""
    models: tuple[ModelName, ...] = ("Reg-NS", "Det")
    for model in models:
        negatives = "1to1" if MODELS[model].negatives else ""
        name = f"{job_name(model, negatives=negatives)}_naive"
        yield Job(name, with_overrides(base[model], {"strategy": "naive aggregation"}))


def _backbones(base: "dict[ModelName, Recipe]", sizes: Sizes) -> Iterator[Job]:
    """Table 8: detectors from the backbone of each Reg run."""
    for model, rows in BACKBONE_MODELS.items():
        for row in rows:
            for reg_events in sizes.events:
                source = job_name("Reg", events=reg_events)
                name = job_name(model, events=sizes.events[row], backbone=f"from-{source}")
                recipe = with_overrides(base[model], {"events": sizes.events[row], "initialisation": "reg"})
                yield Job(name, recipe, start_from=source)
