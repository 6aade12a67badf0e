"""What is known of each slide at the start, and what is kept as it ends."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from serving.cohort.entry import Entry
from serving.cohort.errors import CohortError, Problem, problem_of
from serving.cohort.layout import Failure, failure_name, packed, read_failure, read_report, report_name
from serving.cohort.ledger import Ledger
from serving.cohort.results import FolderResults
from serving.cohort.status import status_of
from serving.cohort.tables import part_of
from serving.cohort.worker import Outcome, WorkOrder
from serving.report import Report
from serving.scoring.options import ScoringOptions
from serving.scoring.pipeline import DEFAULTS, score_slide
from serving.wsi.arrayslide import ArraySlide
from serving.wsi.errors import StorageError, UnreadableSlideError
from tests.fakes import DotDetector, make_cards, tissue

BAD = Problem("unreadable-slide", "torn", passing=False)
LATER = Problem("storage-unavailable", "no answer", passing=True)
NAMES = ("a", "b", "c")


@pytest.fixture
def results(tmp_path: Path) -> FolderResults:
    return FolderResults(tmp_path / "out")


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    for name in NAMES:
        (tmp_path / f"{name}.svs").write_bytes(name.encode())
    return [Entry(name, str(tmp_path / f"{name}.svs")) for name in NAMES]


@pytest.fixture(scope="module")
def report() -> Report:
    return score_slide(ArraySlide(tissue(600, 500), mpp=0.25), DotDetector()).report


def ledger(results: FolderResults, entries: list[Entry], options: ScoringOptions = DEFAULTS) -> Ledger:
    return Ledger(results, entries, WorkOrder(results.address, options), make_cards())


def begun(
    results: FolderResults, entries: list[Entry], options: ScoringOptions = DEFAULTS, *, again: bool = False
) -> list[str]:
    return [task.entry.id for task in ledger(results, entries, options).begin(again=again)]


def fail(results: FolderResults, entries: list[Entry], slide: str, problem: Problem) -> None:
    book = ledger(results, entries)
    book.begin(again=False)
    book.note(Outcome(slide, "failed", problem), 1)


def test_slides_that_seem_done_come_first(results: FolderResults, entries: list[Entry], report: Report) -> None:
    results.put(report_name("c"), packed(report))
    tasks = ledger(results, entries).begin(again=False)
    assert [task.entry.id for task in tasks] == ["c", "a", "b"]
    assert [task.kept is not None for task in tasks] == [True, False, False]
    assert tasks[1].facts.size == 1


def test_a_bad_slide_is_not_tried_again_until_something_changes(
    results: FolderResults, entries: list[Entry], tmp_path: Path
) -> None:
    fail(results, entries, "b", BAD)
    assert begun(results, entries) == ["a", "c"]
    assert begun(results, entries, again=True) == ["a", "b", "c"]
    assert begun(results, entries, ScoringOptions(threshold=0.9)) == ["a", "b", "c"]
    assert begun(results, [entries[0], replace(entries[1], mpp=0.5), entries[2]]) == ["a", "b", "c"]
    future = (tmp_path / "b.svs").stat().st_mtime + 1000
    os.utime(tmp_path / "b.svs", (future, future))
    assert begun(results, entries) == ["a", "b", "c"]


@pytest.mark.parametrize("problem", [LATER, Problem("not-found", "there is no file", passing=False)])
def test_what_may_have_passed_is_tried_again(results: FolderResults, entries: list[Entry], problem: Problem) -> None:
    fail(results, entries, "b", problem)
    assert begun(results, entries) == ["a", "b", "c"]


def test_the_tally_is_of_all_runs(results: FolderResults, entries: list[Entry], report: Report) -> None:
    fail(results, entries, "b", BAD)
    results.put(report_name("c"), packed(report))
    book = ledger(results, entries)
    book.begin(again=False)
    assert (book.tally.left, set(book.tally.failures)) == (2, {"b"})
    book.note(Outcome("c", "kept"), 1)
    book.note(Outcome("a", "scored", tiles=7), 1)
    results.put(report_name("a"), packed(report))
    tally = book.tally
    assert (tally.scored, tally.kept, tally.tiles, tally.left) == (1, 1, 7, 0)
    parts = book.members()
    assert sorted(m.entry.id for members in parts.values() for m in members) == ["a", "b", "c"]
    assert {part: {part_of(m.entry.id) for m in members} for part, members in parts.items()} == {p: {p} for p in parts}
    (failed,) = [m for members in parts.values() for m in members if m.failure]
    assert (failed.entry.id, failed.report) == ("b", None)


def test_a_slide_that_is_done_after_all_failed_no_more(results: FolderResults, entries: list[Entry]) -> None:
    fail(results, entries, "b", LATER)
    assert read_failure(results, "b") is not None
    book = ledger(results, entries)
    book.begin(again=False)
    book.note(Outcome("b", "scored"), 2)
    assert read_failure(results, "b") is None


def test_a_report_that_was_removed_meanwhile_is_noticed(results: FolderResults, entries: list[Entry]) -> None:
    book = ledger(results, entries)
    book.begin(again=False)
    for name in NAMES:
        book.note(Outcome(name, "scored"), 1)
    with pytest.raises(CohortError, match="the report of a was removed"):
        book.members()


def test_the_status_is_told_from_what_is_there(results: FolderResults, entries: list[Entry], report: Report) -> None:
    with pytest.raises(CohortError, match="there is no cohort"):
        status_of(results)
    fail(results, entries, "b", BAD)
    results.put(report_name("a"), packed(report))
    results.put(report_name("of-another-manifest"), packed(report))
    found = status_of(results)
    assert (found.slides, found.done, found.left) == (3, 1, 1)
    assert [(f.slide, f.problem) for f in found.failed] == [("b", "unreadable-slide")]
    results.put("cohort.json", b"{}")
    with pytest.raises(CohortError, match="none that this release wrote"):
        status_of(results)


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"\x1f\x8b", None])
def test_what_is_no_report_is_none(results: FolderResults, report: Report, damage: bytes | None) -> None:
    whole = packed(report)
    results.put(report_name("a"), whole[:-10] if damage is None else damage)
    assert read_report(results, "a") is None
    results.put(report_name("a"), whole)
    assert read_report(results, "a") == report
    results.put(failure_name("a"), b"{")
    assert read_failure(results, "a") is None


def test_a_failure_states_what_it_was(results: FolderResults, entries: list[Entry]) -> None:
    fail(results, entries, "b", BAD)
    found = read_failure(results, "b")
    assert isinstance(found, Failure)
    assert (found.slide, found.source, found.problem, found.detail) == (
        "b",
        entries[1].source,
        "unreadable-slide",
        "torn",
    )


@pytest.mark.parametrize(
    ("error", "kind", "passing"),
    [
        (UnreadableSlideError("torn"), "unreadable-slide", False),
        (StorageError("stale handle"), "unreadable-slide", True),
        (OSError(5, "Input/output error"), "storage-unavailable", True),
        (OSError(28, "No space left on device"), "disk-full", True),
        (MemoryError(), "internal-error", True),
    ],
)
def test_problems_say_whether_another_try_may_help(error: Exception, kind: str, passing: bool) -> None:
    found = problem_of(error)
    assert (found.kind, found.passing) == (kind, passing)
    assert found.detail
