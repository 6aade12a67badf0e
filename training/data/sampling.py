"""Pictures by patient for training, validation and test, and how an epoch is drawn from their sub-tiles.

Event first (the paper's), or every positive sub-tile (its comparator).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving.datasets.store import Picture
from training.data.sub_tiles import SubTileTable


@dataclass(frozen=True, slots=True)
class Negatives:
    """How many negative sub-tiles join an epoch: a ratio to its positives, or a count (paper, Tables 6 and 7).

    redraw : a fixed seeded pool is the paper's reproducible reading; True draws anew every epoch from all negatives
    exclude_ambiguous : leave out sub-tiles with a place that too few labelers boxed to count; by the paper's rule such
        places are background
    hard_share : share of them that hold a labelled look-alike; those come again where they are few
    """

    ratio: float | None = None
    count: int | None = None
    redraw: bool = False
    exclude_ambiguous: bool = False
    hard_share: float = 0.0

    def __post_init__(self) -> None:
        if (self.ratio is None) == (self.count is None):
            raise ValueError("state negatives as a ratio or as a count, one of the two")

    def number(self, positives: int) -> int:
        """Negatives for so many positives."""
        return self.count if self.count is not None else round((self.ratio or 0.0) * positives)

    def find_allowed(self, table: SubTileTable) -> NDArray[np.bool_]:
        """Which sub-tiles they may be, bool, shape (N,)."""
        return table.negative & ~table.ambiguous if self.exclude_ambiguous else table.negative


def training_events(table: SubTileTable, *, limit: int | None, seed: int) -> NDArray[np.int32]:
    """The events that a run may learn from: all, or `limit` of them drawn by seed (paper, Table 5).

    A smaller draw is part of a larger one of the same seed, so that the curve over sizes compares like with like.

    Raises
    ------
    ValueError
        If fewer events than `limit` exist.
    """
    seen = np.unique(table.event)
    if limit is not None and limit > len(seen):
        raise ValueError(f"{limit} events asked for, {len(seen)} exist")
    order = np.random.default_rng([seed, 1]).permutation(seen)
    return order[: len(seen) if limit is None else limit].astype(np.int32)


def epoch(
    table: SubTileTable,
    events: NDArray[np.int32],
    negatives: Negatives,
    *,
    seed: int,
    number: int,
    strategy: Literal["event first", "naive aggregation"] = "event first",
) -> NDArray[np.int32]:
    """Sub-tiles of epoch `number`, shuffled, int32, shape (K,).

    Event first: each event gives one of the sub-tiles that hold some of it, drawn uniformly and anew every epoch.
    Naive aggregation: every sub-tile that holds some of any of the events.

    Raises
    ------
    ValueError
        If fewer negative sub-tiles exist than asked for, or none with a look-alike where some are.
    """
    rng = np.random.default_rng([seed, 2, number])
    if strategy == "event first":
        positives = _one_each(table, events, rng)
    else:
        positives = np.unique(table.sub_tile[np.isin(table.event, events)])
    wanted = negatives.number(len(positives) if strategy == "event first" else len(events))
    source = rng if negatives.redraw else np.random.default_rng([seed, 3])
    return rng.permutation(np.concatenate([positives, _negatives(table, negatives, wanted, source)])).astype(np.int32)


def _negatives(table: SubTileTable, negatives: Negatives, wanted: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """So many negatives: those with a look-alike as often as they must come, the others once at most."""
    pool, hard = np.flatnonzero(negatives.find_allowed(table)), np.flatnonzero(table.hard)
    forced = round(negatives.hard_share * wanted)
    if forced and not len(hard):
        raise ValueError(f"hard_share is {negatives.hard_share}, but no negative sub-tile holds a labelled look-alike")
    if wanted - forced > len(pool):
        raise ValueError(
            f"{wanted} negative sub-tiles asked for, {len(pool)} exist; label more tissue or ask for fewer"
        )
    return np.concatenate([rng.permutation(pool)[: wanted - forced], np.resize(rng.permutation(hard), forced)])


def _one_each(table: SubTileTable, events: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """One sub-tile of each event, uniformly among those that hold some of it."""
    order = np.argsort(table.event, kind="stable")
    first = np.searchsorted(table.event[order], events, "left")
    past = np.searchsorted(table.event[order], events, "right")
    pick = first + (rng.random(len(events)) * (past - first)).astype(np.intp)
    return table.sub_tile[order[pick]]


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures by use."""

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    test: tuple[Picture, ...]

    def __post_init__(self) -> None:
        parts = {name: {p.patient for p in getattr(self, name)} for name in ("train", "validation", "test")}
        for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if both := parts[a] & parts[b]:
                raise ValueError(f"patients {sorted(both)[:5]} are in {a} and in {b}")


def split_by_patient(
    pictures: Sequence[Picture], *, validation: float, test: float, seed: int, test_patients: Sequence[str] = ()
) -> Split:
    """Patients dealt out by seed, so that no part gets two pictures of one patient's.

    validation, test : share of the patients, at least one each where above 0
    test_patients : these make the test part, instead of a share

    Raises
    ------
    ValueError
        If a part stays empty that should not, or a test patient does not exist.
    """
    patients = sorted({p.patient for p in pictures})
    if unknown := set(test_patients) - set(patients):
        raise ValueError(f"no pictures of patients {sorted(unknown)}")
    order = [str(p) for p in np.random.default_rng([seed, 4]).permutation(patients) if p not in test_patients]
    held = list(test_patients) or _take(order, test, len(patients))
    chosen = _take(order, validation, len(patients))
    if not order:
        raise ValueError(f"{len(patients)} patients are too few for these shares: none is left to train on")
    of = {**dict.fromkeys(held, "test"), **dict.fromkeys(chosen, "validation")}
    return Split(
        *(tuple(p for p in pictures if of.get(p.patient, "train") == part) for part in ("train", "validation", "test"))
    )


def _take(order: list[str], share: float, total: int) -> list[str]:
    """Remove a share of the patients, counted over all of them, from `order`, and return them."""
    number = max(1, round(share * total)) if share > 0 else 0
    taken, order[:] = order[:number], order[number:]
    return taken
