"""Scores of sub-tiles as the summary states them: rates with intervals, by slide, curves and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.evaluation.bootstrap import bootstrap_interval, spread
from serving.scoring.reliability import reliability
from training.evaluation.curves import precision_recall, roc, thin_curve
from training.evaluation.detections import BootstrapOptions
from training.evaluation.sub_tiles import SubTileRates, sub_tile_rates
from training.evaluation.summary import (
    Calibration,
    Measured,
    PrecisionRecallPoint,
    ReliabilityRow,
    RocPoint,
    SpreadRow,
    SubTileRow,
    SubTiles,
    SubTileSlideRow,
)
from training.models.heads.scores import REG_THRESHOLDS


@dataclass(frozen=True, slots=True)
class LatticeScores:
    """Sub-tiles of all fields.

    scores : float32, shape (N,); positives : bool, shape (N,), under `rule` (any, r_min or centre)
    slides : str, shape (N,), the slide of each; None where it is not known, or only one
    thresholds : at which rates are stated; by default the paper's for Reg and Reg-NS
    threshold : at which slides are told apart
    """

    scores: NDArray[np.float32]
    positives: NDArray[np.bool_]
    slides: NDArray[np.str_] | None = None
    rule: str = "centre"
    thresholds: Sequence[float] = REG_THRESHOLDS
    threshold: float = 0.35


def lattice_summary(lattice: LatticeScores, sampling: BootstrapOptions) -> SubTiles:
    """Everything measured of sub-tile scores."""
    receiver, precise = roc(lattice.scores, lattice.positives), precision_recall(lattice.scores, lattice.positives)
    thresholds = [*lattice.thresholds, lattice.threshold]
    slides = {
        name: sub_tile_rates(lattice.scores[of], lattice.positives[of], thresholds) for name, of in _slides(lattice)
    }
    total = sub_tile_rates(lattice.scores, lattice.positives, lattice.thresholds)
    last = {name: rows[-1] for name, rows in slides.items()}
    return SubTiles(
        positives=int(lattice.positives.sum()),
        negatives=int((~lattice.positives).sum()),
        positive_rule=lattice.rule,
        rates=[_row(at, [rows[i] for rows in slides.values()], sampling) for i, at in enumerate(total)],
        threshold=lattice.threshold,
        per_slide=[
            SubTileSlideRow(slide=name, positives=at.positives, negatives=at.negatives, tpr=at.tpr, fpr=at.fpr)
            for name, at in last.items()
        ],
        spread=[
            SpreadRow.model_validate({"figure": name, **_spread([figure([at]) for at in last.values()])})
            for name, figure in (("TPR", _tpr), ("FPR", _fpr))
        ],
        calibration=calibration(lattice.scores.clip(0, 1), lattice.positives),
        auc=receiver.auc,
        average_precision=precise.average_precision,
        roc=[RocPoint(fpr=fpr, tpr=tpr) for fpr, tpr in thin_curve(receiver.fpr, receiver.tpr)],
        precision_recall=[
            PrecisionRecallPoint(recall=recall, precision=precision)
            for recall, precision in thin_curve(precise.recall, precise.precision)
        ],
    )


def calibration(probabilities: NDArray[np.floating], hits: NDArray[np.bool_]) -> Calibration:
    """The reliability curve. probabilities : float, shape (N,); hits : bool, shape (N,), which came true."""
    curve = reliability(probabilities, hits)
    return Calibration(
        expected_calibration_error=curve.expected_calibration_error,
        bins=[ReliabilityRow.model_validate(row) for row in curve.bins],
    )


def _slides(lattice: LatticeScores) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each slide's name and which sub-tiles are its own."""
    if lattice.slides is None:
        return [("all", np.ones(len(lattice.scores), np.bool_))]
    return [(str(name), np.asarray(lattice.slides == name)) for name in np.unique(lattice.slides)]


def _row(at: SubTileRates, slides: Sequence[SubTileRates], sampling: BootstrapOptions) -> SubTileRow:
    def measured(figure: Callable[[Sequence[SubTileRates]], float]) -> Measured:
        # Sub-tiles of one slide are alike: slides are drawn, whatever the unit of detections is.
        interval = bootstrap_interval(slides, figure, unit="slides", draws=sampling.draws, seed=sampling.seed)
        return Measured.model_validate(interval)

    return SubTileRow(
        threshold=at.threshold,
        true_positives=at.true_positives,
        false_positives=at.false_positives,
        tpr=measured(_tpr),
        fpr=measured(_fpr),
    )


def _tpr(slides: Sequence[SubTileRates]) -> float:
    positives = sum(at.positives for at in slides)
    return sum(at.true_positives for at in slides) / positives if positives else float("nan")


def _fpr(slides: Sequence[SubTileRates]) -> float:
    negatives = sum(at.negatives for at in slides)
    return sum(at.false_positives for at in slides) / negatives if negatives else float("nan")


def _spread(values: Sequence[float]) -> dict[str, float]:
    of = spread(values)
    return {"minimum": of.minimum, "median": of.median, "maximum": of.maximum, "sd": of.sd, "units": of.units}
