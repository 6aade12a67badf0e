"""How an epoch is drawn from sub-tiles: event first (the paper's), or every positive sub-tile (its comparator)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
