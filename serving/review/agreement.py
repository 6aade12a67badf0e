"""How far two reviewers agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from serving.comparison.agreement import weighted_kappa
from serving.review.review_entry import LABELS
from serving.review.verdicts import Verdicts, Who


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
    """Agreement of two raters beyond chance (Cohen, 1960); None where chance alone would agree always."""
    return weighted_kappa([(int(a), int(b)) for a, b in pairs], categories=2)
