from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from serving.review.verdicts import (
    FIGURE,
    NOT_FIGURE,
    Action,
    Box,
    ReviewEntry,
    agreements,
    cohens_kappa,
    collect_verdicts,
    find_added_boxes,
    find_standing,
    tally,
)

BOX: Box = (10, 20, 30, 40)
A, B = ("key:1", "A"), ("key:1", "B")


def entry(
    number: int, action: Action, target: str = "", *, who: tuple[str, str] = A, label: str | None = None
) -> ReviewEntry:
    return ReviewEntry(number, 0.0, *who, action, target, BOX if action == "add" else None, label)


def test_the_last_verdict_on_an_object_counts_and_undo_takes_it_back() -> None:
    said = [entry(1, "accept", "detection-0"), entry(2, "reject", "detection-0")]
    assert collect_verdicts(said) == {A: {"detection-0": NOT_FIGURE}}
    assert collect_verdicts([*said, entry(3, "undo", "2")]) == {A: {"detection-0": FIGURE}}
    assert collect_verdicts([*said, entry(3, "undo", "2"), entry(4, "undo", "1")]) == {}


def test_what_was_added_goes_with_its_addition_for_everybody() -> None:
    said = [entry(1, "add"), entry(2, "reject", "added-1", who=B)]
    assert find_added_boxes(said) == {"added-1": BOX}
    assert collect_verdicts(said) == {A: {"added-1": FIGURE}, B: {"added-1": NOT_FIGURE}}
    undone = [*said, entry(3, "undo", "1")]
    assert find_added_boxes(undone) == {}
    assert collect_verdicts(undone) == {}
    assert [e.number for e in find_standing(undone)] == [2]


def test_a_tally_keeps_detections_and_additions_apart() -> None:
    said = [
        entry(1, "accept", "detection-0"),
        entry(2, "reject", "detection-1"),
        entry(3, "relabel", "detection-2", label="Apoptotic body"),
        entry(4, "relabel", "detection-3", label="Atypical mitosis"),
        entry(5, "add"),
        entry(6, "add", label=NOT_FIGURE),
    ]
    found = tally(A, collect_verdicts(said)[A], detections=10)
    assert (found.accepted, found.rejected, found.added, found.unjudged, found.mitotic_figures) == (2, 2, 1, 6, 3)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    found = cohens_kappa(pairs)
    first, second = zip(*pairs, strict=True)
    if len(set(first) | set(second)) == 1:
        assert found is None  # both said the same of everything
        return
    expected = float(cohen_kappa_score(first, second))
    assert found is not None
    assert abs(found - expected) < 1e-9


def test_agreement_is_on_what_both_judged() -> None:
    said = [
        *(entry(i, "accept", f"detection-{i}") for i in range(4)),
        entry(10, "accept", "detection-0", who=B),
        entry(11, "reject", "detection-1", who=B),
        entry(12, "reject", "detection-9", who=B),
    ]
    (found,) = agreements(collect_verdicts(said))
    assert (found.first, found.second, found.judged_by_both, found.agreed) == (A, B, 2, 1)
    assert found.kappa == 0
