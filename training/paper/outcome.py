"""What one training of the grid gave: its scores on the test sub-tiles and what it cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GridOutcome:
    """scores : float32, (N,), of the test sub-tiles in their order; map_50_95 : a detector's mAP on them, else NaN.

    validation : float32, (M,), scores of the validation sub-tiles in their order, to choose thresholds on
    """

    name: str
    scores: NDArray[np.float32]
    map_50_95: float
    training_seconds: float
    samples: int
    """Sub-tiles that training looked at in all its epochs."""
    validation: NDArray[np.float32]


Seeds = Sequence[Mapping[str, GridOutcome]]
"""Outcomes by name of the training, for each seed that the grid was trained with."""


def write_outcome(outcome: GridOutcome, folder: Path) -> None:
    """Write to `folder`, whole or not at all: the figures' file comes last, and is the mark of a finished job."""
    np.savez_compressed(folder / "scores.npz", scores=outcome.scores, validation=outcome.validation)
    figures = {
        "name": outcome.name,
        "map_50_95": None if np.isnan(outcome.map_50_95) else outcome.map_50_95,
        "training_seconds": outcome.training_seconds,
        "samples": outcome.samples,
    }
    part = folder / "outcome.part"
    part.write_text(json.dumps(figures, indent=1))
    part.replace(folder / "outcome.json")


def read_outcome(folder: Path) -> GridOutcome | None:
    """The outcome of a finished job; None of one that is not."""
    path = folder / "outcome.json"
    if not path.is_file():
        return None
    figures = json.loads(path.read_text())
    with np.load(folder / "scores.npz") as arrays:
        scores, validation = arrays["scores"], arrays["validation"]
    value = figures["map_50_95"]
    return GridOutcome(
        figures["name"],
        scores,
        float("nan") if value is None else value,
        figures["training_seconds"],
        figures["samples"],
        validation,
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """TPR and FPR of sub-tiles at a threshold, 0..1; NaN where there is nothing to count."""

    tpr: float
    fpr: float

    def __str__(self) -> str:
        return f"{_percent(self.tpr)}/{_percent(self.fpr)}"

    @property
    def youden(self) -> float:
        """TPR - FPR (Youden, 1950): 0 is chance, 1 perfect."""
        return self.tpr - self.fpr


def _percent(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{100 * value:.1f}"


def rate_at(
    scores: NDArray[np.float32],
    positive: NDArray[np.bool_],
    threshold: float,
    weights: NDArray[np.float64] | None = None,
) -> Rate:
    """TPR and FPR of scores at or above a threshold. weights : how often each sub-tile counts, for the bootstrap."""
    w = np.ones(len(scores)) if weights is None else weights
    hit = scores >= threshold
    p, n = float(w[positive].sum()), float(w[~positive].sum())
    return Rate(
        float(w[positive & hit].sum()) / p if p else float("nan"),
        float(w[~positive & hit].sum()) / n if n else float("nan"),
    )


def area_under_roc(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> float:
    """Area under the ROC curve: the chance that a mitotic sub-tile scores higher than another, ties counting half.

    weights : how often each sub-tile counts, for the bootstrap. NaN unless both kinds are there.
    """
    w = np.ones(len(scores)) if weights is None else weights
    values, rank = np.unique(scores, return_inverse=True)
    hits, others = (np.bincount(rank, w * kind, len(values)) for kind in (positive, ~positive))
    below = np.cumsum(others) - others / 2
    pairs = hits.sum() * others.sum()
    return float((hits * below).sum() / pairs) if pairs else float("nan")
