"""What is known of each slide at the start, and what is kept as it ends."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from serving.cohort.errors import CohortError, SlideProblem, describe_problem
from serving.cohort.layout import Failure, failure_name, pack_report, read_failure, read_report, report_name
from serving.cohort.ledger import Ledger
from serving.cohort.manifest import ManifestEntry
from serving.cohort.status import read_status
from serving.cohort.tables import choose_part
from serving.cohort.worker import SlideOutcome, WorkOrder
from serving.core.errors import StorageError, UnreadableSlideError
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.scoring.pipeline import DEFAULTS, score_slide
from serving.slides.arrayslide import ArraySlide
from serving.store.blob_store import BlobStoreError, FolderBlobStore
from tests.fakes import DotDetector, make_cards, tissue

BAD = SlideProblem("unreadable-slide", "torn", passing=False)
LATER = SlideProblem("storage-unavailable", "no answer", passing=True)
NAMES = ("a", "b", "c")


@pytest.fixture
def results(tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "out")


@pytest.fixture
def entries(tmp_path: Path) -> list[ManifestEntry]:
    for name in NAMES:
        (tmp_path / f"{name}.svs").write_bytes(name.encode())
    return [ManifestEntry(name, str(tmp_path / f"{name}.svs")) for name in NAMES]


@pytest.fixture(scope="module")
def report() -> Report:
    return score_slide(ArraySlide(tissue(600, 500), mpp=0.25), DotDetector()).report


def ledger(results: FolderBlobStore, entries: list[ManifestEntry], options: ScoringOptions = DEFAULTS) -> Ledger:
    return Ledger(results, entries, WorkOrder(results.address, options), make_cards())


def begin(
    results: FolderBlobStore, entries: list[ManifestEntry], options: ScoringOptions = DEFAULTS, *, again: bool = False
) -> list[str]:
    return [task.entry.id for task in ledger(results, entries, options).begin(again=again)]


def fail(results: FolderBlobStore, entries: list[ManifestEntry], slide: str, problem: SlideProblem) -> None:
    book = ledger(results, entries)
    book.begin(again=False)
    book.note(SlideOutcome(slide, "failed", problem), 1)


def test_slides_that_seem_done_come_first(
    results: FolderBlobStore, entries: list[ManifestEntry], report: Report
) -> None:
    results.put(report_name("c"), pack_report(report))
    tasks = ledger(results, entries).begin(again=False)
    assert [task.entry.id for task in tasks] == ["c", "a", "b"]
    assert [task.kept is not None for task in tasks] == [True, False, False]
    assert tasks[1].facts.size == 1


def test_a_bad_slide_is_not_tried_again_until_something_changes(
    results: FolderBlobStore, entries: list[ManifestEntry], tmp_path: Path
) -> None:
    fail(results, entries, "b", BAD)
    assert begin(results, entries) == ["a", "c"]
    assert begin(results, entries, again=True) == ["a", "b", "c"]
    assert begin(results, entries, ScoringOptions(threshold=0.9)) == ["a", "b", "c"]
    assert begin(results, [entries[0], replace(entries[1], mpp=0.5), entries[2]]) == ["a", "b", "c"]
    future = (tmp_path / "b.svs").stat().st_mtime + 1000
    os.utime(tmp_path / "b.svs", (future, future))
    assert begin(results, entries) == ["a", "b", "c"]


@pytest.mark.parametrize("problem", [LATER, SlideProblem("not-found", "there is no file", passing=False)])
def test_what_may_have_passed_is_tried_again(
    results: FolderBlobStore, entries: list[ManifestEntry], problem: SlideProblem
) -> None:
    fail(results, entries, "b", problem)
    assert begin(results, entries) == ["a", "b", "c"]


def test_the_tally_is_of_all_runs(results: FolderBlobStore, entries: list[ManifestEntry], report: Report) -> None:
    fail(results, entries, "b", BAD)
    results.put(report_name("c"), pack_report(report))
    book = ledger(results, entries)
    book.begin(again=False)
    assert (book.tally.left, set(book.tally.failures)) == (2, {"b"})
    book.note(SlideOutcome("c", "kept"), 1)
    book.note(SlideOutcome("a", "scored", tiles=7), 1)
    results.put(report_name("a"), pack_report(report))
    tally = book.tally
    assert (tally.scored, tally.kept, tally.tiles, tally.left) == (1, 1, 7, 0)
    parts = book.members()
    assert sorted(m.entry.id for members in parts.values() for m in members) == ["a", "b", "c"]
    assert {part: {choose_part(m.entry.id) for m in members} for part, members in parts.items()} == {
        p: {p} for p in parts
    }
    (failed,) = [m for members in parts.values() for m in members if m.failure]
    assert (failed.entry.id, failed.report) == ("b", None)


def test_a_slide_that_is_done_after_all_failed_no_more(results: FolderBlobStore, entries: list[ManifestEntry]) -> None:
    fail(results, entries, "b", LATER)
    assert read_failure(results, "b") is not None
    book = ledger(results, entries)
    book.begin(again=False)
    book.note(SlideOutcome("b", "scored"), 2)
    assert read_failure(results, "b") is None


def test_a_report_that_was_removed_meanwhile_is_noticed(results: FolderBlobStore, entries: list[ManifestEntry]) -> None:
    book = ledger(results, entries)
    book.begin(again=False)
    for name in NAMES:
        book.note(SlideOutcome(name, "scored"), 1)
    with pytest.raises(CohortError, match="the report of a was removed"):
        book.members()


def test_the_status_is_told_from_what_is_there(
    results: FolderBlobStore, entries: list[ManifestEntry], report: Report
) -> None:
    with pytest.raises(CohortError, match="there is no cohort"):
        read_status(results)
    fail(results, entries, "b", BAD)
    results.put(report_name("a"), pack_report(report))
    results.put(report_name("of-another-manifest"), pack_report(report))
    found = read_status(results)
    assert (found.slides, found.done, found.left) == (3, 1, 1)
    assert [(f.slide, f.problem) for f in found.failed] == [("b", "unreadable-slide")]
    results.put("cohort.json", b"{}")
    with pytest.raises(CohortError, match="none that this release wrote"):
        read_status(results)


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"\x1f\x8b", None])
def test_what_is_no_report_is_none(results: FolderBlobStore, report: Report, damage: bytes | None) -> None:
    whole = pack_report(report)
    results.put(report_name("a"), whole[:-10] if damage is None else damage)
    assert read_report(results, "a") is None
    results.put(report_name("a"), whole)
    assert read_report(results, "a") == report
    results.put(failure_name("a"), b"{")
    assert read_failure(results, "a") is None


def test_a_failure_states_what_it_was(results: FolderBlobStore, entries: list[ManifestEntry]) -> None:
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
        (BlobStoreError("the object store does not answer"), "storage-unavailable", True),
        (MemoryError(), "internal-error", True),
    ],
)
def test_problems_say_whether_another_try_may_help(error: Exception, kind: str, passing: bool) -> None:
    found = describe_problem(error)
    assert (found.kind, found.passing) == (kind, passing)
    assert found.detail
