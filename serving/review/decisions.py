"""From what reviewers hold to what is decided: by one of them, or by most of several."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from serving.core.counts import JudgedObject
from serving.core.report import Report
from serving.review.verdicts import (
    LABELS,
    Box,
    ReviewEntry,
    Verdicts,
    Who,
    collect_verdicts,
    find_added_boxes,
    find_last,
)
from serving.scoring.reviewed import ReviewDecision, name_objects

SAME_FIGURE_UM = 7.5
"""Two places that are nearer are one figure: the radius within which the MIDOG challenges match."""


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
    for target, labels in sorted(said.items(), key=lambda item: order_targets(item[0])):
        balance = sum(n if LABELS[label] else -n for label, n in labels.items())
        if balance:
            yield Decided(target, balance > 0, tuple(label for label, n in sorted(labels.items()) for _ in range(n)))


def find_boxes(report: Report, added: Mapping[str, Box]) -> dict[str, Box]:
    """Boxes of everything that can be judged, level-0 px, by the names that reviews call them."""
    return {name: (d.x, d.y, d.width, d.height) for name, d in name_objects(report).items()} | dict(added)


def find_same(report: Report, added: Mapping[str, Box]) -> dict[str, str]:
    """What was added where something had been added already, which readers who do not see each other do.

    Gives, by the name of the later one, the first within `SAME_FIGURE_UM`: they are one figure.
    """
    reach = SAME_FIGURE_UM / report.slide.mpp
    kept: dict[str, tuple[float, float]] = {}
    same = {}
    for name in sorted(added, key=order_targets):
        x, y, width, height = added[name]
        centre = x + width / 2, y + height / 2
        first = next((other for other, at in kept.items() if math.dist(at, centre) <= reach), None)
        if first is None:
            kept[name] = centre
        else:
            same[name] = first
    return same


def rename_targets(verdicts: Verdicts, same: Mapping[str, str]) -> dict[str, str]:
    """Verdicts by the names of `find_same`."""
    return {same.get(target, target): label for target, label in verdicts.items()}


def merge_same(report: Report, verdicts: Mapping[Who, Verdicts], added: Mapping[str, Box]) -> dict[Who, dict[str, str]]:
    """The verdicts, in which a figure that several people added is one."""
    named = {target for own in verdicts.values() for target in own}
    same = find_same(report, {name: box for name, box in added.items() if name in named})
    return {who: rename_targets(own, same) for who, own in verdicts.items()}


def decide(
    report: Report, entries: Sequence[ReviewEntry], *, author: str | None = None, reviewer: str | None = None
) -> ReviewDecision:
    """What is decided of an analysis.

    report : as the analysis made it
    author, reviewer : only of entries with this key, and of people with this name; None for all
    """
    added = find_added_boxes(entries)
    heard = {
        who: own
        for who, own in collect_verdicts(entries).items()
        if author in (None, who[0]) and reviewer in (None, who[1])
    }
    own = [entry for entry in entries if entry.who in heard and not entry.consensus]
    return ReviewDecision(
        objects=judge_objects(report, find_decided(merge_same(report, heard, added)), added),
        reviewers=tuple(sorted({name or key for key, name in heard})),
        majority=len(heard) > 1,
        last_entry=find_last(entries)[0],
        last_at=find_last(own)[1],
    )


def judge_objects(report: Report, decided: Iterable[Decided], added: Mapping[str, Box]) -> tuple[JudgedObject, ...]:
    """What was decided, with places and probabilities."""
    boxes, named = find_boxes(report, added), name_objects(report)
    objects = []
    for one in decided:
        x, y, width, height = boxes[one.target]
        known = named.get(one.target)
        objects.append(
            JudgedObject(
                target=one.target,
                x=x,
                y=y,
                width=width,
                height=height,
                probability=None if known is None else known.probability,
                label=one.label,
                is_figure=one.is_figure,
            )
        )
    return tuple(objects)


def order_targets(target: str) -> tuple[str, int]:
    """By which names of objects are sorted: kind, then number."""
    kind, number = target.split("-")
    return kind, int(number)
