"""Two readings beside each other: what is agreed, what is not, and what is decided then."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.options import CountingOptions
from serving.review.consensus import compare_readings, counts_for, decide_by_consensus
from serving.review.decisions import decide
from serving.review.read_counts import count_by_consensus
from serving.review.readings import Reading, ReadingError, check_may_say, find_pair, find_stage, show_entries
from serving.review.verdicts import FIGURE, LABELS, NOT_FIGURE, Box, ReviewEntry, collect_verdicts
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

ANN, BOB, MIA = ("key:1", "Ann"), ("key:2", "Bob"), ("key:3", "Mia")
DOTS = ((300, 300), (700, 500), (500, 650))
POSSIBLE = (850, 200)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    pixels = tissue(1000, 800)
    for x, y in DOTS:
        plant(pixels, x, y)
    plant(pixels, *POSSIBLE, side=14)
    made = score_slide(ArraySlide(pixels, mpp=0.25, name="a.svs"), DotDetector())
    assert (len(made.report.detections), len(made.report.candidates)) == (len(DOTS), 1)
    return made


def reading(number: int, who: tuple[str, str], *, finished: bool = True) -> Reading:
    return Reading(number, "a", *who, 0.0, "key:3", 10.0 if finished else None)


PAIR = (reading(1, ANN), reading(2, BOB))


class Record:
    """Entries that are written one after the other."""

    def __init__(self) -> None:
        self.entries: list[ReviewEntry] = []

    def say(
        self,
        who: tuple[str, str],
        label: str | None,
        target: str = "",
        box: Box | None = None,
        *,
        consensus: bool = False,
    ) -> "Record":
        action = "add" if box else "relabel"
        number = len(self.entries) + 1
        self.entries.append(
            ReviewEntry(number, float(number), *who, action, target, box, label, consensus=consensus)  # type: ignore[arg-type]
        )
        return self


def test_readers_who_agree_on_all_have_nothing_to_decide(analysis: Analysis) -> None:
    record = Record()
    for who in (ANN, BOB):
        for i in range(len(DOTS)):
            record.say(who, FIGURE, f"detection-{i}")
    found = compare_readings(analysis.report, record.entries, PAIR)
    assert (found.judged_by_both, found.agreed, found.kappa) == (3, 3, None)  # both said the same of everything
    assert (found.disagreements, found.undecided) == ([], 0)


def test_readers_who_said_nothing_agree_on_nothing(analysis: Analysis) -> None:
    found = compare_readings(analysis.report, [], PAIR)
    assert (found.objects, found.judged_by_both, found.kappa, found.undecided) == ((), 0, None, 0)
    decision = decide_by_consensus(analysis.report, [], PAIR)
    assert (decision.objects, decision.rule, decision.last_entry, decision.last_at) == ((), "consensus", 0, None)


def test_kappa_is_the_one_computed_by_hand(analysis: Analysis) -> None:
    """Of 4 objects both call 2 figures and 1 none, and differ on 1: p_o = 3/4, p_e = 3/4 x 2/4 + 1/4 x 2/4, so 1/2."""
    record = Record()
    said = {"detection-0": (1, 1), "detection-1": (1, 1), "detection-2": (1, 0), "candidate-0": (0, 0)}
    for target, (ann, bob) in said.items():
        record.say(ANN, FIGURE if ann else NOT_FIGURE, target).say(BOB, FIGURE if bob else "Apoptotic body", target)
    found = compare_readings(analysis.report, record.entries, PAIR)
    assert (found.judged_by_both, found.agreed) == (4, 3)
    assert found.kappa == pytest.approx(0.5)
    assert [one.target for one in found.disagreements] == ["detection-2"]


def test_what_one_reader_did_not_judge_counts_as_the_model_says(analysis: Analysis) -> None:
    record = (
        Record().say(ANN, FIGURE, "detection-0").say(ANN, NOT_FIGURE, "detection-1").say(BOB, FIGURE, "candidate-0")
    )
    found = compare_readings(analysis.report, record.entries, PAIR)
    assert {one.target for one in found.disagreements} == {"detection-1", "candidate-0"}
    assert (found.judged_by_both, found.kappa) == (0, None)
    decided = {one.target: one.is_figure for one in decide_by_consensus(analysis.report, record.entries, PAIR).objects}
    assert decided == {"detection-0": True}
    record.say(MIA, NOT_FIGURE, "detection-1", consensus=True).say(
        MIA, "Atypical mitosis", "candidate-0", consensus=True
    )
    decided = {one.target: one.is_figure for one in decide_by_consensus(analysis.report, record.entries, PAIR).objects}
    assert decided == {"detection-0": True, "detection-1": False, "candidate-0": True}
    assert MIA not in collect_verdicts(record.entries)  # a consensus is nobody's own reading


def test_what_both_added_at_one_place_is_one_figure(analysis: Analysis) -> None:
    near, far = (100.0, 100.0, 50.0, 50.0), (400.0, 60.0, 50.0, 50.0)
    record = Record().say(ANN, None, box=near).say(BOB, None, box=(110.0, 95.0, 50.0, 50.0)).say(BOB, None, box=far)
    found = compare_readings(analysis.report, record.entries, PAIR)
    assert (dict(found.same), found.judged_by_both, found.agreed) == ({"added-2": "added-1"}, 1, 1)
    assert [one.target for one in found.disagreements] == ["added-3"]
    counted = count_by_consensus(
        analysis, CountingOptions(), record.entries, PAIR, threshold=None, fields=[(500.0, 400.0)]
    ).report
    assert counted.review is not None
    assert counted.review.counts.mitotic_figures == len(DOTS) + 1
    assert [one.review.counts.mitotic_figures for one in counted.readings] == [len(DOTS) + 1, len(DOTS) + 2]
    assert decide(analysis.report, record.entries).majority  # and where nobody was given a reading, too
    assert len([one for one in decide(analysis.report, record.entries).objects if one.is_figure]) == 2


LABEL = st.sampled_from([None, *LABELS])


@given(st.lists(st.tuples(LABEL, LABEL, LABEL), min_size=4, max_size=4))
def test_a_consensus_is_between_its_readers(analysis: Analysis, said: list[tuple[str | None, ...]]) -> None:
    """What both count is counted, what neither counts is not, and what was decided is as it was decided."""
    targets = [*(f"detection-{i}" for i in range(len(DOTS))), "candidate-0"]
    record = Record()
    for who, consensus in ((0, False), (1, False), (2, True)):
        for target, labels in zip(targets, said, strict=True):
            if labels[who] is not None:
                record.say((ANN, BOB, MIA)[who], labels[who], target, consensus=consensus)
    found = compare_readings(analysis.report, record.entries, PAIR)
    wanted = {}
    for target, (ann, bob, both) in zip(targets, said, strict=True):
        sides = {counts_for(target, ann), counts_for(target, bob)}
        wanted[target] = (
            LABELS[both] if both is not None else sides.pop() if len(sides) == 1 else counts_for(target, None)
        )
    report = count_by_consensus(analysis, CountingOptions(), record.entries, PAIR, threshold=None, fields=()).report
    assert report.review is not None
    assert report.agreement is not None
    assert report.review.counts.mitotic_figures == sum(wanted.values())
    assert report.agreement.disagreements == len(found.disagreements)
    again = compare_readings(analysis.report, record.entries, (PAIR[1], PAIR[0]))
    assert (again.kappa, again.agreed) == (found.kappa, found.agreed)  # whoever is called the first
    for hotspot in (*report.hotspots, *report.review.hotspots):
        assert len(hotspot.readings) == 2


WHO = st.sampled_from([ANN, BOB, MIA, ("key:2", "other")])


@given(st.lists(st.tuples(WHO, st.booleans()), max_size=12), st.booleans())
def test_a_blind_reader_sees_what_they_said_and_nothing_else(
    said: list[tuple[tuple[str, str], bool]], done: bool
) -> None:
    entries = [
        ReviewEntry(n, 0.0, *who, "accept", "detection-0", consensus=consensus)
        for n, (who, consensus) in enumerate(said)
    ]
    given_to = [reading(1, ANN), reading(2, BOB, finished=done)]
    seen = show_entries(entries, given_to, BOB[0])
    assert seen == (entries if done else [entry for entry in entries if entry.who == BOB])
    assert show_entries(entries, given_to, ANN[0]) == entries


def test_stages_follow_each_other() -> None:
    open_pair = [PAIR[0], replace(PAIR[1], finished_at=None)]
    assert [find_stage(given_to, BOB[0]) for given_to in ([], [PAIR[0]], open_pair, PAIR)] == [
        "review",
        "waiting",
        "reading",
        "consensus",
    ]
    assert find_stage(open_pair, ANN[0]) == "waiting"
    assert find_pair(open_pair) is None
    with pytest.raises(ReadingError, match="both must be finished"):
        check_may_say(open_pair, ANN, consensus=True)
    with pytest.raises(ReadingError, match="stays as it is"):
        check_may_say(open_pair, ANN, consensus=False)
    with pytest.raises(ReadingError, match="as Bob"):
        check_may_say(open_pair, ("key:2", "other"), consensus=False)
    check_may_say(open_pair, BOB, consensus=False)
    check_may_say(PAIR, MIA, consensus=True)
