"""A detection threshold chosen on labelled pictures, and what that choice gives on cases that took no part in it."""

from collections.abc import Sequence

import numpy as np

from serving.core.card_parts import DetectionThreshold
from serving.core.words import format_count
from serving.evaluation.bootstrap import bootstrap_interval
from serving.evaluation.measured_picture import MeasuredPicture, rank_measured
from serving.evaluation.metrics import Rates
from serving.evaluation.threshold_rules import THRESHOLD_RULES

DRAWS = 1000
"""Of the bootstrap over cases."""


def choose_detection_threshold(measured: Sequence[MeasuredPicture], rule: str, *, data: str) -> DetectionThreshold:
    """The threshold that a rule chooses on all pictures, as a card states it.

    What it achieved is measured by leaving each case out: its figures are counted at the threshold that the other cases choose.
    With a single case nothing is left to measure on, and the card says so.

    Parameters
    ----------
    measured
        Pictures with all that was found in them, down to a low probability.
    rule
        Name of a threshold rule, see `THRESHOLD_RULES`.
    data
        What the pictures are, in words.

    Raises
    ------
    LookupError
        If there is no such rule.
    ValueError
        If the pictures hold no figure.
    """
    choose = THRESHOLD_RULES[rule]
    if not any(m.true for m in measured):
        raise ValueError(f"{data} holds no labelled figure: a threshold needs some")
    cases = {m.picture.patient for m in measured}
    figures = sum(m.true for m in measured)
    counted = f"{format_count(figures, 'figure')} of {format_count(len(cases), 'case')}"
    if len(cases) < 2:
        achieved = f"not measured: {counted}, and a figure needs a case that took no part in the choice"
    else:
        left_out = [
            _rates_at([m for m in measured if m.picture.patient == case], choose(rank_measured(others)))
            for case in sorted(cases)
            if (others := [m for m in measured if m.picture.patient != case])
        ]
        found = bootstrap_interval(left_out, _f1, unit="patients", draws=DRAWS)
        total = sum_rates(left_out)
        achieved = (
            f"F1 {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], precision {total.precision:.3f}, recall {total.recall:.3f} on "
            f"{counted}, each at the threshold of the others; interval over cases"
        )
    return DetectionThreshold(
        probability=float(choose(rank_measured(measured))),
        how_chosen=f"by the rule {rule}, on all of them",
        data=data,
        achieved=achieved,
    )


def _rates_at(measured: Sequence[MeasuredPicture], threshold: float) -> Rates:
    ranking = rank_measured(measured)
    kept = ranking.probabilities >= threshold
    hits = int(ranking.hits[kept].sum())
    return Rates(hits, int(kept.sum()) - hits, ranking.figures - hits)


def sum_rates(parts: Sequence[Rates]) -> Rates:
    """The counts of several sets of pictures together."""
    counts = np.asarray([(r.true_positives, r.false_positives, r.false_negatives) for r in parts], np.int64)
    return Rates(*(int(count) for count in counts.reshape(-1, 3).sum(0)))


def _f1(parts: Sequence[Rates]) -> float:
    return sum_rates(parts).f1
