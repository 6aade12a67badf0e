"""Who runs what: turns among owners, priorities, leases that are lost, and writers that come too late."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import insert

from serving.core.options import ScoringOptions
from serving.jobs.job import IdempotencyError, LeaseLostError
from serving.jobs.leases import MAX_CRASHES, Lease, Leases, LeaseWatch
from serving.jobs.table import JobTable, Submission
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.identity import DetachedError
from serving.store.slides import SlideStore
from serving.store.tables import blobs, metadata, slides
from tests.examples import draw_examples

MODELS = "m" * 64
LEASE_S = 1000.0

KNOWN = "{}"


def bring(store: SlideStore, owner: str, sha256: str = "a" * 64) -> None:
    """Rows of a slide; no test here opens it."""
    with store.database.writing() as tx:
        if tx.execute(blobs.select().where(blobs.c.sha256 == sha256)).first() is None:
            values = {"sha256": sha256, "size": 1, "main": "x", "mounted": False, "stamp": "", "width": 1, "height": 1}
            tx.execute(insert(blobs).values(values | {"vendor": "", "used_at": time.time()}))
        row = {"owner": owner, "sha256": sha256, "name": "a.svs", "kept": True, "created_at": time.time()}
        tx.execute(insert(slides).values(row))


def submission(owner: str, number: float, **more: object) -> Submission:
    return Submission(owner, "a" * 64, ScoringOptions(threshold=number / 1000), **more)  # type: ignore[arg-type]


@pytest.fixture
def jobs(store: SlideStore) -> JobTable:
    for owner in ("ann", "bob", "cat"):
        bring(store, owner)
    return JobTable(store.database, store)


@pytest.fixture
def leases(store: SlideStore) -> Leases:
    return Leases(store.database, store, "w1")


def claim(leases: Leases) -> Lease:
    lease = leases.claim(MODELS, lease_s=LEASE_S)
    assert lease is not None
    return lease


def submit(jobs: JobTable, owner: str, number: float, **more: object) -> str:
    return jobs.submit(submission(owner, number, **more), models_key=None)[0].id


def test_owners_take_turns_however_long_their_lines_are(jobs: JobTable, leases: Leases) -> None:
    for number in range(6):
        submit(jobs, "ann", number)
    for number in range(2):
        submit(jobs, "bob", 10 + number)
    submit(jobs, "cat", 20, priority=-10)
    order = []
    for _ in range(9):
        lease = claim(leases)
        order.append(lease.job.owner)
        leases.succeed(lease, f"{lease.job.id}-{lease.token}")
    assert sorted(order[:3]) == ["ann", "bob", "cat"]
    assert sorted(order[3:5]) == ["ann", "bob"]
    assert order[5:] == ["ann"] * 4
    assert leases.claim(MODELS, lease_s=LEASE_S) is None


@draw_examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.tuples(st.sampled_from(["ann", "bob", "cat"]), st.integers(-10, 10)), max_size=12))
def test_among_one_owners_the_highest_priority_then_the_oldest(
    jobs: JobTable, leases: Leases, lines: list[tuple[str, int]]
) -> None:
    with jobs.database.writing() as tx:
        for name in ("analyses", "events"):
            tx.execute(metadata.tables[name].delete())
    wanted: dict[str, list[tuple[int, int, str]]] = {}
    for number, (owner, priority) in enumerate(lines):
        made = submit(jobs, owner, number, priority=priority)
        wanted.setdefault(owner, []).append((-priority, number, made))
    got: dict[str, list[str]] = {}
    turns = []
    while (lease := leases.claim(MODELS, lease_s=LEASE_S)) is not None:
        got.setdefault(lease.job.owner, []).append(lease.job.id)
        turns.append(lease.job.owner)
        leases.fail(lease, "internal-error", "")
    assert got == {owner: [made for *_, made in sorted(line)] for owner, line in wanted.items()}
    for end in range(len(turns)):  # nobody is more than one turn ahead of one who still waits
        for other in set(turns[end:]):
            assert max(turns[:end].count(owner) for owner in set(turns)) - turns[:end].count(other) <= 1


def test_a_lost_lease_writes_nothing(jobs: JobTable, store: SlideStore, leases: Leases) -> None:
    made = submit(jobs, "ann", 1)
    old = claim(leases)
    assert leases.beat(old)
    leases.requeue(made, old.token)
    other = Leases(store.database, store, "w2")
    new = claim(other)
    assert new.token > old.token
    assert not leases.beat(old)
    assert not leases.holds(old)
    tries: list[Callable[[], None]] = [
        partial(leases.progress, old, 5, 9, None),
        partial(leases.note_preliminary, old, KNOWN, kept=True),
        partial(leases.succeed, old, "late"),
        partial(leases.fail, old, "internal-error", "late"),
    ]
    for late in tries:
        with pytest.raises(LeaseLostError):
            late()
    leases.release(old)
    leases.requeue(made, old.token)
    assert jobs.get(made, owner=None).state == "running"
    other.succeed(new, "result")
    assert (jobs.get(made, owner=None).state, jobs.get(made, owner=None).result) == ("succeeded", "result")
    with pytest.raises(LeaseLostError):
        other.succeed(new, "twice")


def test_a_cancelled_analysis_is_lost_to_its_worker(jobs: JobTable, leases: Leases) -> None:
    made = submit(jobs, "ann", 1)
    lease = claim(leases)
    assert jobs.cancel(made, owner="ann").state == "cancelled"
    assert not leases.holds(lease)
    with pytest.raises(LeaseLostError):
        leases.succeed(lease, "late")
    assert [e.kind for e in jobs.events(made, after=0)] == ["queued", "running", "cancelled"]
    assert jobs.cancel(made, owner="ann").state == "cancelled"


def test_a_lease_without_a_beat_is_taken_over_by_whoever_watched(
    jobs: JobTable, store: SlideStore, leases: Leases
) -> None:
    made = submit(jobs, "ann", 1)
    lease = claim(leases)
    other = Leases(store.database, store, "w2")
    assert other.claim(MODELS, lease_s=0.05) is None  # seen for the first time
    time.sleep(0.06)
    assert leases.beat(lease)
    assert other.claim(MODELS, lease_s=0.05) is None  # it lives
    time.sleep(0.06)
    taken = other.claim(MODELS, lease_s=0.05)
    assert taken is not None
    assert taken.job.id == made


def test_no_clock_of_the_wall_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, now = LeaseWatch(), [0.0]
    monkeypatch.setattr("serving.jobs.leases.time.monotonic", lambda: now[0])
    monkeypatch.setattr("serving.jobs.leases.time.time", lambda: 1e12)
    assert watch.find_lost([("a", 1, 0), ("b", 2, 0)], lease_s=10) == []
    now[0] = 9
    assert watch.find_lost([("a", 1, 1), ("b", 2, 0)], lease_s=10) == []
    now[0] = 10
    assert watch.find_lost([("a", 1, 1), ("b", 2, 0)], lease_s=10) == [("b", 2)]
    now[0] = 19
    assert watch.find_lost([("a", 1, 1)], lease_s=10) == [("a", 1)]


def test_an_analysis_that_ends_its_workers_is_ended(jobs: JobTable, leases: Leases) -> None:
    made = submit(jobs, "ann", 1)
    for _ in range(MAX_CRASHES - 1):
        leases.requeue(made, claim(leases).token)
    lease = claim(leases)
    leases.note_preliminary(lease, KNOWN, kept=True)  # a finished chunk: it is not the analysis
    leases.requeue(made, lease.token)
    assert jobs.get(made, owner=None).preliminary == KNOWN
    assert jobs.get(made, owner=None).state == "queued"
    for _ in range(MAX_CRASHES - 1):
        leases.requeue(made, claim(leases).token)
    job = jobs.get(made, owner=None)
    assert (job.state, job.problem) == ("failed", "internal-error")


def test_what_is_known_within_a_chunk_does_not_keep_a_crashing_analysis_going(jobs: JobTable, leases: Leases) -> None:
    made = submit(jobs, "ann", 1)
    for _ in range(MAX_CRASHES):
        lease = claim(leases)
        leases.note_preliminary(lease, KNOWN, kept=False)
        assert jobs.get(made, owner=None).preliminary == KNOWN
        leases.requeue(made, lease.token)
    assert jobs.get(made, owner=None).state == "failed"


def test_all_that_a_dead_worker_ran_goes_back(jobs: JobTable, store: SlideStore, leases: Leases) -> None:
    submit(jobs, "ann", 1)
    submit(jobs, "bob", 2)
    mine, other = claim(leases), claim(Leases(store.database, store, "w2"))
    leases.requeue_all()
    assert jobs.get(mine.job.id, owner=None).state == "queued"
    assert jobs.get(other.job.id, owner=None).state == "running"


def test_a_lost_result_is_used_no_more_and_is_computed_again(jobs: JobTable, store: SlideStore, leases: Leases) -> None:
    key: dict[str, Any] = {"idempotency_key": "k", "idempotency_hash": "h"}
    first = jobs.submit(submission("ann", 1, **key), models_key=None)[0]
    twin = submit(jobs, "ann", 1)
    leases.succeed(claim(leases), "gone")  # there is no such folder
    assert claim(leases).job.id == twin, "a twin that waited is computed"
    lost = jobs.get(first.id, owner="ann")
    assert (lost.state, lost.result, lost.problem) == ("succeeded", None, "result-lost")
    assert "submit the same analysis again" in str(lost.detail)
    again, new = jobs.submit(submission("ann", 1, **key), models_key=MODELS)
    assert (again.state, new, again.id != first.id) == ("queued", True, True)
    assert jobs.submit(submission("ann", 1, **key), models_key=MODELS) == (again, False)


def test_while_the_state_folder_is_not_there_no_result_is_called_lost(
    jobs: JobTable, store: SlideStore, leases: Leases
) -> None:
    made = submit(jobs, "ann", 1)
    leases.succeed(claim(leases), "kept")
    (store.kept.root / "database").rename(store.kept.root / "elsewhere")  # as where its disk is not mounted
    with pytest.raises(DetachedError):
        jobs.submit(submission("ann", 1), models_key=MODELS)
    with pytest.raises(DetachedError):
        jobs.lose(jobs.get(made, owner="ann"))
    assert jobs.get(made, owner="ann").result == "kept"


def test_a_result_is_used_again_and_by_twins_that_wait(jobs: JobTable, store: SlideStore, leases: Leases) -> None:
    (store.kept.root / "results" / "shared").mkdir(parents=True)
    first, twin = submit(jobs, "ann", 1), submit(jobs, "ann", 1)
    lease = claim(leases)
    assert leases.claim(MODELS, lease_s=LEASE_S) is None  # the twin waits for the first
    leases.progress(lease, 7, 9, None)
    leases.succeed(lease, "shared")
    assert leases.claim(MODELS, lease_s=LEASE_S) is None
    shown = jobs.get(twin, owner="ann")
    assert (shown.state, shown.result, shown.tiles_done, shown.tiles_total) == ("succeeded", "shared", 9, 9)
    again, new = jobs.submit(submission("ann", 1), models_key=MODELS)
    assert (again.state, again.result, new) == ("succeeded", "shared", True)
    other_models, _ = jobs.submit(submission("ann", 1), models_key="n" * 64)
    assert other_models.state == "queued"
    assert jobs.get(first, owner="ann").state == "succeeded"


def test_nothing_of_another_owners_is_used_or_waited_for(jobs: JobTable, leases: Leases) -> None:
    """The same slide and options: a second owner's analysis runs as if nobody had asked before, and beside the first's."""
    submit(jobs, "ann", 1)
    hers = claim(leases)
    mine, _ = jobs.submit(submission("bob", 1), models_key=MODELS)
    assert mine.state == "queued"
    beside = claim(leases)
    assert beside.job.id == mine.id
    leases.succeed(hers, "hers")
    leases.succeed(beside, "mine")
    later, _ = jobs.submit(submission("cat", 1), models_key=MODELS)
    assert later.state == "queued"
    assert claim(leases).job.id == later.id


def test_what_belongs_to_others_is_not_found(jobs: JobTable) -> None:
    made = submit(jobs, "ann", 1)
    for ask in (jobs.get, jobs.cancel, jobs.forget):
        with pytest.raises(NotFoundError):
            ask(made, owner="bob")
    with pytest.raises(NotFoundError):
        jobs.submit(Submission("dan", "a" * 64, ScoringOptions()), models_key=None)
    assert jobs.page(owner="bob", states=(), sha256=None, before=None, limit=9) == []
    assert len(jobs.page(owner=None, states=(), sha256=None, before=None, limit=9)) == 1


def test_idempotency_keys_belong_to_their_owner(jobs: JobTable) -> None:
    key = {"idempotency_key": "k", "idempotency_hash": "h"}
    first, new = jobs.submit(submission("ann", 1, **key), models_key=None)
    again, repeated = jobs.submit(submission("ann", 1, **key), models_key=None)
    other, others = jobs.submit(submission("bob", 1, **key), models_key=None)
    assert (first.id == again.id, new, repeated) == (True, True, False)
    assert (other.id != first.id, others) == (True, True)
    with pytest.raises(IdempotencyError):
        jobs.submit(submission("ann", 2, idempotency_key="k", idempotency_hash="i"), models_key=None)


def test_a_released_analysis_keeps_its_place_and_says_why(jobs: JobTable, leases: Leases) -> None:
    made = submit(jobs, "ann", 1)
    leases.release(claim(leases), "waits for room")
    assert (jobs.get(made, owner=None).state, jobs.get(made, owner=None).detail) == ("queued", "waits for room")
    assert claim(leases).job.detail is None


def test_tables_are_those_of_one_database(make_store: Callable[..., SlideStore], tmp_path: Path) -> None:
    first, second = make_store(), make_store()
    assert isinstance(first.database, Database)
    bring(first, "ann")
    made = JobTable(first.database, first).submit(submission("ann", 1), models_key=None)[0]
    assert JobTable(second.database, second).get(made.id, owner="ann") == made
