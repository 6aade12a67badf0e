"""A stored result counted for two readers and their consensus: every number stands for each."""

from collections.abc import Sequence
from dataclasses import replace

from serving.core.counts import ReadingAgreement
from serving.core.options import CountingOptions
from serving.core.words import state_time
from serving.review.consensus import ReadingComparison, compare_readings, decide_by_consensus
from serving.review.decisions import decide
from serving.review.readings import Reading
from serving.review.verdicts import ReviewEntry
from serving.scoring.analysis import Analysis
from serving.scoring.recount import StatedReading, recount


def count_by_consensus(
    analysis: Analysis,
    options: CountingOptions,
    entries: Sequence[ReviewEntry],
    pair: tuple[Reading, Reading],
    *,
    threshold: float | None,
    fields: Sequence[tuple[float, float]],
) -> Analysis:
    """The analysis counted after consensus, with what each reader counts in the same windows.

    analysis : as it was made
    entries : the whole record
    threshold, fields : as of `recount`

    Raises
    ------
    RequestError, RoiError
        As `recount`.
    """
    made = analysis.report
    readers = [
        StatedReading(
            one.reader,
            one.name,
            state_time(one.finished_at or 0.0),
            decide(made, entries, author=one.reader, reviewer=one.reviewer),
        )
        for one in pair
    ]
    decision = decide_by_consensus(made, entries, pair)
    counted = recount(analysis, options, threshold=threshold, decision=decision, readers=readers, fields=fields)
    agreement = state_agreement(compare_readings(made, entries, pair))
    return replace(counted, report=counted.report.model_copy(update={"agreement": agreement}))


def state_agreement(compared: ReadingComparison) -> ReadingAgreement:
    """The comparison in a few numbers, as reports have it."""
    return ReadingAgreement(
        judged_by_both=compared.judged_by_both,
        agreed=compared.agreed,
        kappa=None if compared.kappa is None else round(compared.kappa, 6) + 0.0,  # and no minus before nothing
        disagreements=len(compared.disagreements),
        undecided=compared.undecided,
    )
