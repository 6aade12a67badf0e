"""From what reviewers hold to what is decided: by one of them, or by most of several."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from serving.core.report import JudgedObject, Report
from serving.review.review_entry import LABELS, Box, ReviewEntry
from serving.review.verdicts import Verdicts, Who, collect_verdicts, find_added_boxes
from serving.scoring.reviewed import ReviewDecision, name_objects


@dataclass(frozen=True, slots=True)
class Decided:
    """An object on which a majority says the same.

    labels : every label that was given, in alphabetical order
    """

    target: str
    is_figure: bool
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        """What most of those who decided call it."""
        counts = Counter(label for label in self.labels if LABELS[label] == self.is_figure)
        return min(counts, key=lambda label: (-counts[label], label))


def find_decided(verdicts: Mapping[Who, Verdicts]) -> Iterator[Decided]:
    """Each object on which more say yes than no, or the reverse, in the order of their names."""
    said: dict[str, Counter[str]] = {}
    for own in verdicts.values():
        for target, label in own.items():
            said.setdefault(target, Counter())[label] += 1
    for target, labels in sorted(said.items(), key=lambda item: (item[0].split("-")[0], int(item[0].split("-")[1]))):
        balance = sum(n if LABELS[label] else -n for label, n in labels.items())
        if balance:
            yield Decided(target, balance > 0, tuple(label for label, n in sorted(labels.items()) for _ in range(n)))


def find_boxes(report: Report, added: Mapping[str, Box]) -> dict[str, Box]:
    """Boxes of everything that can be judged, level-0 px, by the names that reviews call them."""
    return {name: (d.x, d.y, d.width, d.height) for name, d in name_objects(report).items()} | dict(added)


def decide(
    report: Report, entries: Sequence[ReviewEntry], *, author: str | None = None, reviewer: str | None = None
) -> ReviewDecision:
    """What is decided of an analysis.

    report : as the analysis made it
    author, reviewer : only of entries with this key, and of people with this name; None for all
    """
    heard = {
        who: own
        for who, own in collect_verdicts(entries).items()
        if author in (None, who[0]) and reviewer in (None, who[1])
    }
    boxes, named = find_boxes(report, find_added_boxes(entries)), name_objects(report)
    objects = []
    for decided in find_decided(heard):
        x, y, width, height = boxes[decided.target]
        known = named.get(decided.target)
        objects.append(
            JudgedObject(
                target=decided.target,
                x=x,
                y=y,
                width=width,
                height=height,
                probability=None if known is None else known.probability,
                label=decided.label,
                is_figure=decided.is_figure,
            )
        )
    return ReviewDecision(
        objects=tuple(objects),
        reviewers=tuple(sorted({name or key for key, name in heard})),
        majority=len(heard) > 1,
        last_entry=max((entry.number for entry in entries), default=0),
    )
