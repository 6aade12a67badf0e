"""A released cascade on labelled pictures: in other arithmetic, and with Det shown every sub-tile."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.report_parts import CascadeMode
from serving.datasets.store import Picture
from serving.evaluation.metrics import FieldDetections, rates
from serving.evaluation.ranking import average_precision_by_distance, rank
from serving.evaluation.threshold_rules import best_f1
from serving.roles.role import MODEL_ROLES
from serving.scoring.analysis import Analysis
from serving.scoring.detector import Detector, counting_threshold, list_cards
from serving.scoring.loading import load_cascade
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.scoring.sessions import CPU
from training.evaluation.served_analysis import analyse_picture, pair_with_truth

EXACT = CPU
"""The provider that others are compared with: float32 throughout."""
EVERYWHERE = "Det everywhere"


@dataclass(slots=True)
class ArithmeticOutcome:
    """What one way of computing gave, picture by picture."""

    analyses: list[Analysis] = field(default_factory=list)
    found: list[FieldDetections] = field(default_factory=list)
    processor_s: float = 0.0
    """Of this process: all computation happens in it."""

    def scores(self) -> NDArray[np.float32]:
        """Of all sub-tiles, shape (N,); not a number where none was scored."""
        return np.concatenate([analysis.mitosis_map.scores.ravel() for analysis in self.analyses])


@dataclass(frozen=True, slots=True)
class CascadeFigures:
    """Each way's outcome, the exact one's first, and the threshold of the cards."""

    outcomes: dict[str, ArithmeticOutcome]
    threshold: float


@dataclass(frozen=True, slots=True)
class ArithmeticComparison:
    """One way beside the exact one.

    shared : true positives of this way that the exact one finds too
    drift_mean, drift_max : of scores, over the spread (standard deviation) of the exact ones
    """

    true_positives: int
    shared: int
    precision: float
    recall: float
    f1: float
    best_threshold: float
    best_f1: float
    average_precision: float
    processor_share: float
    """Of the exact one's processor time."""
    drift_mean: float
    drift_max: float


def score_pictures(
    models: Path,
    version: str,
    pictures: Sequence[Picture],
    root: Path,
    providers: Sequence[str],
    *,
    everywhere: bool,
    say: Callable[[str], None] = print,
) -> CascadeFigures:
    """Score each picture every way, the exact one first, by turns.

    models : folder of <name>/<version>. providers : beside the exact one. everywhere : also the exact models without screening

    Raises
    ------
    ModelError
        If the version's models cannot be loaded.
    FileNotFoundError
        If there are none.
    """
    folders = version_folders(models, version)
    ways: dict[str, tuple[Detector, CascadeMode]] = {
        name: (load_cascade(folders, providers=[name]), "exact") for name in dict.fromkeys((EXACT, *providers))
    }
    if everywhere:
        ways[EVERYWHERE] = (ways[EXACT][0], "off")
    outcomes: defaultdict[str, ArithmeticOutcome] = defaultdict(ArithmeticOutcome)
    for number, picture in enumerate(pictures, 1):
        for name, (detector, cascade) in ways.items():
            outcome, began = outcomes[name], time.process_time()
            analysis = analyse_picture(detector, picture, root, cascade=cascade)
            outcome.processor_s += time.process_time() - began
            outcome.analyses.append(analysis)
            outcome.found.append(pair_with_truth(analysis.report, picture.boxes(), group=picture.slide))
        say(f"{picture.id}: {number} of {len(pictures)} pictures scored")
    return CascadeFigures(dict(outcomes), counting_threshold(list_cards(ways[EXACT][0])))


def version_folders(models: Path, version: str) -> dict[str, Path]:
    """Folders of the models that have a version, by name; raises `FileNotFoundError` where one is missing that a cascade needs."""
    found = {path.parent.parent.name: path.parent for path in sorted(models.glob(f"*/{version}/card.json"))}
    if missing := set(MODEL_ROLES.required()) - set(found):
        raise FileNotFoundError(f"{models} has no version {version} of {', '.join(sorted(missing))}")
    return found


def compare_outcomes(figures: CascadeFigures, name: str) -> ArithmeticComparison:
    """One way beside the exact one, at the threshold of the cards and at its own best."""
    outcome, exact = figures.outcomes[name], figures.outcomes[EXACT]
    at_card, best = rates(outcome.found, figures.threshold), best_f1(rank(outcome.found))
    ours, theirs = outcome.scores(), exact.scores()
    seen = np.isfinite(theirs)
    apart, spread = np.abs(ours - theirs)[seen], theirs[seen].std()
    return ArithmeticComparison(
        true_positives=at_card.true_positives,
        shared=_count_shared(outcome, exact, figures.threshold),
        precision=at_card.precision,
        recall=at_card.recall,
        f1=at_card.f1,
        best_threshold=best,
        best_f1=rates(outcome.found, best).f1,
        average_precision=average_precision_by_distance(outcome.found),
        processor_share=outcome.processor_s / exact.processor_s,
        drift_mean=float(apart.mean() / spread),
        drift_max=float(apart.max() / spread),
    )


def describe_figures(figures: CascadeFigures) -> Iterator[str]:
    """A few lines for each way."""
    for name, outcome in figures.outcomes.items():
        c = compare_outcomes(figures, name)
        yield (
            f"{name}: {outcome.processor_s:.0f} processor s, {c.processor_share:.3f} of {EXACT}\n"
            f"  at {figures.threshold:.3f}: precision {c.precision:.3f}, recall {c.recall:.3f}, F1 {c.f1:.3f}; "
            f"F1 {c.best_f1:.3f} at {c.best_threshold:.3f}; average precision {c.average_precision:.3f}\n"
            f"  of {c.true_positives} true positives {c.shared} are {EXACT}'s too\n"
            f"  scores, of their spread: mean {c.drift_mean:.4f}, largest {c.drift_max:.3f}"
        )


def _count_shared(outcome: ArithmeticOutcome, exact: ArithmeticOutcome, threshold: float) -> int:
    """Labelled figures that both find."""
    return sum(
        len(hit_figures(a, threshold) & hit_figures(b, threshold))
        for a, b in zip(outcome.found, exact.found, strict=True)
    )


def hit_figures(found: FieldDetections, threshold: float) -> set[int]:
    """Indices of the labelled figures that a detection of at least `threshold` finds, one-to-one within 7.5 um."""
    centres = found.centres[found.true_positives(threshold)]
    return {figure for _, figure in match_centres(centres, found.truth, MATCH_RADIUS_UM / found.mpp)}
