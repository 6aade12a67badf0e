"""Cross-validation by group from files: stores, and the detections of each fold."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training.data.store import read_store
from training.evaluation.choice import check_names
from training.evaluation.fold_detections import describe_cascade, pair_pictures, read_fold, with_share
from training.evaluation.judge import judge
from training.evaluation.judgement import Judgement
from training.evaluation.judgement_tables import summary_table, write_judgement


def cross_validate(
    stores: Sequence[Path],
    folds: Sequence[Path],
    out: Path,
    *,
    rule: str,
    calibration: str,
    detector_share: float | None = None,
    title: str = "Cross-validation by group",
    say: Callable[[str], None] = print,
) -> Judgement:
    """Judge the detections of all folds, and write the judgement into `out`.

    detector_share : weight of Det's log odds beside the verifier's, in place of what the folds state

    Raises
    ------
    ValueError
        If a file is not what it should be, a name is not known, weights saw a patient whom they are to judge, or two files state
        that their cascades differ by more than the weights.
    FileNotFoundError
        If a file is not there.
    """
    check_names(calibration, rule)
    found = [read_fold(path) for path in folds]
    if detector_share is not None:
        found = [with_share(fold, detector_share) for fold in found]
    cascade = describe_cascade(found)
    pictures = pair_pictures([read_store(path) for path in stores], found)
    judged = judge(pictures, calibration=calibration, rule=rule, title=title, cascade=cascade)
    write_judgement(judged, out)
    say("\n".join(summary_table(judged)))
    say(f"{out}: judgement.json, judgement.md, judgement.png. {judged.research_use}")
    return judged
