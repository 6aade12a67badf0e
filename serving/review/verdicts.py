"""What reviewers did, what each holds now, and how far two agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from serving.comparison.agreement import weighted_kappa

Action = Literal["accept", "reject", "relabel", "add", "undo"]
Box = tuple[float, float, float, float]
"""x, y, width, height; level-0 px."""

FIGURE, NOT_FIGURE = "Mitosis", "Not mitosis"
LABELS = {
    FIGURE: True,
    "Atypical mitosis": True,
    NOT_FIGURE: False,
    "Apoptotic body": False,
    "Pyknotic nucleus": False,
}
"""What an object may be called, and whether it counts as a mitotic figure."""


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A row of the record; rows are added and never changed."""

    number: int
    at: float
    """Seconds since 1970."""
    author: str
    """Id of the principal whose key was shown."""
    reviewer: str
    """What the person calls themselves: several may use one key."""
    action: Action
    target: str
    """`detection-7` and `candidate-7`, the eighth of each of the report; `added-12`, what entry 12 added; of `undo` the number of an
    entry."""
    box: Box | None = None
    label: str | None = None
    reason: str = ""
    consensus: bool = False
    """Said after two readings, of what counts in the end; it is no part of either reading."""

    @property
    def who(self) -> tuple[str, str]:
        """Whose verdicts this is part of."""
        return self.author, self.reviewer


def make_added_target(number: int) -> str:
    """What the object is called that entry `number` added."""
    return f"added-{number}"


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
    """Each reviewer's verdicts, the last one on each target; objects whose addition was undone have none.

    A consensus is nobody's own verdict, and is not among them.
    """
    found: dict[Who, dict[str, str]] = {}
    for entry, target, label in _list_labels(entries):
        if not entry.consensus:
            found.setdefault(entry.who, {})[target] = label
    return found


def collect_consensus(entries: Sequence[ReviewEntry]) -> dict[str, str]:
    """What was decided after two readings, whoever wrote it down: the last label of each target."""
    return {target: label for entry, target, label in _list_labels(entries) if entry.consensus}


def find_last(entries: Sequence[ReviewEntry]) -> tuple[int, float | None]:
    """Number and time (s since 1970) of the last entry; 0 and None without any."""
    last = max(entries, key=lambda entry: entry.number, default=None)
    return (0, None) if last is None else (last.number, last.at)


def _list_labels(entries: Sequence[ReviewEntry]) -> Iterator[tuple[ReviewEntry, str, str]]:
    """The entries that say what something is, with the object and its label."""
    there = find_added_boxes(entries)
    for entry in find_standing(entries):
        target = make_added_target(entry.number) if entry.action == "add" else entry.target
        if target.startswith("added-") and target not in there:
            continue
        yield entry, target, {"accept": FIGURE, "reject": NOT_FIGURE}.get(entry.action) or entry.label or FIGURE


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


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """Of two reviewers, on what both judged."""

    first: Who
    second: Who
    judged_by_both: int
    agreed: int
    kappa: float | None
    """None where it is not defined: nothing was judged by both, or both said the same of everything."""


def agreements(verdicts: Mapping[Who, Verdicts]) -> Iterator[ReviewerAgreement]:
    """The agreement of every two reviewers on whether an object is a mitotic figure."""
    for first, second in combinations(sorted(verdicts), 2):
        both = sorted(verdicts[first].keys() & verdicts[second].keys())
        pairs = [(LABELS[verdicts[first][target]], LABELS[verdicts[second][target]]) for target in both]
        agreed = sum(a == b for a, b in pairs)
        yield ReviewerAgreement(first, second, len(pairs), agreed, cohens_kappa(pairs))


def cohens_kappa(pairs: list[tuple[bool, bool]]) -> float | None:
    """Agreement of two raters beyond chance; None where nothing was rated, or chance alone would agree always.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share on which both say the same and p_e the share to expect of raters who call
    as many things figures and do not look: Cohen, Educational and Psychological Measurement 1960;20:37-46.
    """
    return weighted_kappa([(int(a), int(b)) for a, b in pairs], categories=2)
