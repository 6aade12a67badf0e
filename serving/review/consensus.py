"""Two finished readings beside each other: where they agree, where they differ, and what was decided then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.core.report import Report
from serving.review.decisions import Decided, find_boxes, find_same, judge_objects, order_targets, rename_targets
from serving.review.readings import Reading
from serving.review.verdicts import (
    FIGURE,
    LABELS,
    NOT_FIGURE,
    ReviewEntry,
    cohens_kappa,
    collect_consensus,
    collect_verdicts,
    find_added_boxes,
    find_last,
)
from serving.scoring.reviewed import ReviewDecision


@dataclass(frozen=True, slots=True)
class ComparedObject:
    """What two readers, and then the consensus, call an object; None where somebody said nothing."""

    target: str
    first: str | None
    second: str | None
    consensus: str | None

    @property
    def agreed(self) -> bool:
        """Whether the object counts, or does not, for both readers; without a verdict it counts as the model says."""
        return counts_for(self.target, self.first) == counts_for(self.target, self.second)

    @property
    def label(self) -> str | None:
        """What it is in the end; None of a disagreement that is not decided."""
        if self.consensus is not None or not self.agreed:
            return self.consensus
        said = {label for label in (self.first, self.second) if label is not None}
        if len(said) == 1:
            return said.pop()
        return FIGURE if counts_for(self.target, self.first) else NOT_FIGURE


@dataclass(frozen=True, slots=True)
class ReadingComparison:
    """How far two readings agree.

    kappa : on the objects that both judged; None where it is not defined
    same : what two readers added at one place, by the name of the later one
    """

    objects: tuple[ComparedObject, ...]
    judged_by_both: int
    agreed: int
    kappa: float | None
    same: Mapping[str, str]

    @property
    def disagreements(self) -> list[ComparedObject]:
        """The objects that count for one reader alone."""
        return [one for one in self.objects if not one.agreed]

    @property
    def undecided(self) -> int:
        """Disagreements without a consensus: they count as the model says."""
        return sum(one.consensus is None for one in self.disagreements)


def counts_for(target: str, label: str | None) -> bool:
    """Whether an object counts as a figure for somebody: by their label, else as the model says."""
    return target.startswith(("detection-", "outside-")) if label is None else LABELS[label]


def compare_readings(
    report: Report, entries: Sequence[ReviewEntry], pair: tuple[Reading, Reading]
) -> ReadingComparison:
    """The comparison of two finished readings, object by object.

    report : as the analysis made it
    entries : the whole record
    """
    same = find_same(report, find_added_boxes(entries))
    verdicts = collect_verdicts(entries)
    first, second = (rename_targets(verdicts.get(one.who, {}), same) for one in pair)
    agreed_on = rename_targets(collect_consensus(entries), same)
    known = find_boxes(report, find_added_boxes(entries))
    names = sorted((first.keys() | second.keys() | agreed_on.keys()) & known.keys(), key=order_targets)
    objects = tuple(ComparedObject(name, first.get(name), second.get(name), agreed_on.get(name)) for name in names)
    both = [
        (LABELS[one.first], LABELS[one.second]) for one in objects if one.first is not None and one.second is not None
    ]
    return ReadingComparison(objects, len(both), sum(a == b for a, b in both), cohens_kappa(both), same)


def decide_by_consensus(
    report: Report, entries: Sequence[ReviewEntry], pair: tuple[Reading, Reading]
) -> ReviewDecision:
    """What two readers say in the end; a disagreement without a consensus counts as the model says.

    Parameters are those of `compare_readings`.
    """
    compared = compare_readings(report, entries, pair)
    decided = [
        Decided(one.target, LABELS[one.label], (one.label,)) for one in compared.objects if one.label is not None
    ]
    last, at = find_last(entries)
    return ReviewDecision(
        objects=judge_objects(report, decided, find_added_boxes(entries)),
        reviewers=tuple(one.name for one in pair),
        majority=False,
        consensus=True,
        last_entry=last,
        last_at=at,
    )
