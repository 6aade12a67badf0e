"""From the record to what each reviewer holds now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serving.review.review_entry import FIGURE, LABELS, NOT_FIGURE, Box, ReviewEntry, make_added_target

Who = tuple[str, str]
Verdicts = Mapping[str, str]
"""Label by target."""


@dataclass(frozen=True, slots=True)
class ReviewTally:
    """One reviewer's counts beside the model's."""

    author: str
    reviewer: str
    accepted: int
    """Detections called a mitotic figure."""
    rejected: int
    """Detections called something else."""
    added: int
    """Mitotic figures that are no detection: candidates below the threshold, and what was added, by themselves or others."""
    unjudged: int
    """Detections without a verdict."""

    @property
    def mitotic_figures(self) -> int:
        """What was confirmed or added; detections without a verdict are not in it."""
        return self.accepted + self.added

    @property
    def after_review(self) -> int:
        """The count after this review: detections without a verdict are in it."""
        return self.accepted + self.unjudged + self.added


def find_standing(entries: Iterable[ReviewEntry]) -> list[ReviewEntry]:
    """The entries that were not undone, without those that undo."""
    kept = list(entries)
    undone = {int(entry.target) for entry in kept if entry.action == "undo"}
    return [entry for entry in kept if entry.action != "undo" and entry.number not in undone]


def find_added_boxes(entries: Iterable[ReviewEntry]) -> dict[str, Box]:
    """The boxes of objects that reviewers added, by target."""
    return {
        make_added_target(e.number): e.box for e in find_standing(entries) if e.action == "add" and e.box is not None
    }


def collect_verdicts(entries: Sequence[ReviewEntry]) -> dict[Who, dict[str, str]]:
    """Each reviewer's verdicts, the last one on each target; objects whose addition was undone have none."""
    there = find_added_boxes(entries)
    found: dict[Who, dict[str, str]] = {}
    for entry in find_standing(entries):
        target = make_added_target(entry.number) if entry.action == "add" else entry.target
        if target.startswith("added-") and target not in there:
            continue
        label = {"accept": FIGURE, "reject": NOT_FIGURE}.get(entry.action) or entry.label or FIGURE
        found.setdefault(entry.who, {})[target] = label
    return found


def tally(who: Who, verdicts: Verdicts, detections: int) -> ReviewTally:
    """The counts of a reviewer. detections : number of the report's."""
    figures = {target for target, label in verdicts.items() if LABELS[label]}
    judged = {target for target in verdicts if target.startswith("detection-")}
    return ReviewTally(
        *who,
        accepted=len(figures & judged),
        rejected=len(judged - figures),
        added=len(figures - judged),
        unjudged=detections - len(judged),
    )
