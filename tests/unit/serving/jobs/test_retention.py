"""What no row names goes late, and nothing goes for its age after the clock leapt."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from serving.core.options import ScoringOptions
from serving.jobs.retention import Sweeper, sweep_orphans
from serving.jobs.table import JobTable, Submission
from serving.store.clock_jumps import MAX_REST_S, ClockJumpDetector
from serving.store.orphans import APART_S, OrphanTracker
from serving.store.resumable import Uploads
from serving.store.slides import SlideStore
from serving.store.tables import analyses, blobs, slides
from tests.unit.serving.store.test_slides import DAY, add, on_disk


class Clock:
    """Wall and monotonic time that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = time.time(), time.monotonic()
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def sweeper(store: SlideStore) -> Sweeper:
    return Sweeper(store, Uploads(store.database, store, store.settings))


@pytest.mark.parametrize("starts", [1, 5])
def test_a_start_with_a_clock_40_days_ahead_deletes_nothing(
    store: SlideStore, tmp_path: Path, clock: Clock, starts: int
) -> None:
    slide = add(store, tmp_path, 1)
    sweeper(store).sweep()
    clock.wall += 40 * DAY
    for _ in range(starts):  # also not because it is started again and again
        started = sweeper(store)
        started.sweep()
        clock.run(600)
        started.sweep()
    clock.wall -= 40 * DAY
    started = sweeper(store)
    for _ in range(3):
        started.sweep()
        clock.run(600)
    assert on_disk(store) == {slide.sha256}


def test_the_first_start_of_this_release_with_a_clock_40_days_ahead_deletes_nothing(
    store: SlideStore, tmp_path: Path, clock: Clock
) -> None:
    slide = add(store, tmp_path, 1)
    clock.wall += 40 * DAY
    sweeper(store).sweep()
    assert on_disk(store) == {slide.sha256}


def test_after_a_rest_what_is_old_goes(store: SlideStore, tmp_path: Path, clock: Clock) -> None:
    add(store, tmp_path, 1)
    clock.wall += 40 * DAY  # it was off for so long
    started = sweeper(store)
    started.sweep()
    clock.run(MAX_REST_S / 2)
    started.sweep()
    started = sweeper(store)  # what is left of the rest is kept
    started.sweep()
    assert on_disk(store)
    clock.run(MAX_REST_S / 2 + 1)
    started.sweep()
    assert on_disk(store) == set()


@given(
    steps=st.lists(st.tuples(st.floats(1, 3600), st.floats(-1e8, 1e8), st.booleans()), min_size=1, max_size=20),
)
def test_nothing_goes_within_an_hour_after_a_leap(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, float, bool]]
) -> None:
    """Each step runs for a while, then leaps, and may start again; the leaps of a start count from a day on."""
    file = tmp_path_factory.mktemp("clock") / "clock.json"
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock(patched)
        watch = ClockJumpDetector(file, lambda: None)
        watch.resting()
        since = float("inf")
        for seconds, leap, again in steps:
            clock.run(seconds)
            clock.wall += leap
            since = 0.0 if abs(leap) > 2 * DAY else since + seconds
            watch = ClockJumpDetector(file, lambda: None) if again else watch
            resting = watch.resting()
            assert resting or since >= 3600 - 1e-3


def test_a_folder_that_no_row_names_goes_after_two_looks_a_day_apart(store: SlideStore, tmp_path: Path) -> None:
    kept = {add(store, tmp_path, shade).sha256 for shade in range(3)}
    orphan = store.folder / ("0" * 64)
    orphan.mkdir()

    def sweep_at(now: float) -> list[Path]:
        return sweep_orphans(store, OrphanTracker(tmp_path / "strays.json"), now)  # each as if after another start

    assert sweep_at(0.0) == sweep_at(APART_S - 1) == []
    (orphan / "new").touch()
    assert sweep_at(APART_S) == [], "it was changed"
    assert sweep_at(2 * APART_S) == [orphan]
    assert on_disk(store) == kept


@pytest.mark.parametrize("lost", [2, 3])
def test_folders_that_no_row_names_stay_where_they_are_most(store: SlideStore, tmp_path: Path, lost: int) -> None:
    made = [add(store, tmp_path, shade).sha256 for shade in range(3)]
    with store.database.writing() as tx:  # as where a database was brought back from an old backup
        for table in (slides, blobs):
            tx.execute(table.delete().where(table.c.sha256.in_(made[:lost])))
    watch = OrphanTracker(tmp_path / "strays.json")
    for day in range(5):
        assert sweep_orphans(store, watch, day * APART_S) == []
    assert on_disk(store) == set(made)


@given(
    rounds=st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.integers(0, 5)), st.integers(0, 12)), min_size=1, max_size=15
    )
)
def test_what_goes_was_seen_a_day_before_and_is_never_most(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[int, set[int], int]]
) -> None:
    """Looks some half days apart, at which some names are strays among all that there is."""
    watch = OrphanTracker(tmp_path_factory.mktemp("strays") / "strays.json")
    now, since = 0.0, dict.fromkeys(range(6), float("inf"))
    for halves, orphans, others in rounds:
        now += halves * APART_S / 2
        since = {name: min(since[name], now) if name in orphans else float("inf") for name in since}
        gone = watch.due({str(name): "" for name in orphans}, total=len(orphans) + others, now=now)
        assert not gone or len(orphans) <= others
        expected = {name for name in orphans if now - since[name] >= APART_S} if len(orphans) <= others else set()
        assert set(gone) == {str(name) for name in expected}


def test_a_damaged_record_of_strays_only_puts_off(tmp_path: Path) -> None:
    file = tmp_path / "strays.json"
    for content in (b"", b"[]", b'{"a": 3}', b'{"a": [0]}', b"\xff", b'{"a": ["x", "y"]}'):
        file.write_bytes(content)
        assert OrphanTracker(file).due({"a": "y"}, total=9, now=APART_S) == []
        file.write_bytes(content)
        clock = ClockJumpDetector(file, lambda: None)
        clock.resting()


def test_results_go_at_once_with_the_last_analysis_that_has_them(
    make_store: Callable[..., SlideStore], tmp_path: Path
) -> None:

    store = make_store()
    jobs = JobTable(store.database, store)
    slide = add(store, tmp_path, 1)
    made = [jobs.submit(Submission("ann", slide.sha256, ScoringOptions()), models_key=None)[0].id for _ in range(2)]
    with store.database.writing() as tx:
        tx.execute(update(analyses).values(state="succeeded", result="shared-1"))
    folder = store.kept.root / "results" / "shared-1"
    folder.mkdir(parents=True)
    jobs.forget(made[0], owner="ann")
    assert folder.exists()
    jobs.forget(made[1], owner="ann")
    assert not folder.exists()
