"""Who scores which slide, by a crew that does as it is told and a clock that it moves."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.cohort.dispatch import MAX_TRIES, Event, TaskEnded, TimeLimits, WorkerDied, WorkerReady, dispatch
from serving.cohort.errors import CohortError, SlideProblem
from serving.cohort.manifest import ManifestEntry
from serving.cohort.sources import SourceFile
from serving.cohort.worker import SlideOutcome, SlideTask
from serving.store.blob_store import Blob

BAD = SlideProblem("unreadable-slide", "torn", passing=False)
LATER = SlideProblem("storage-unavailable", "no answer", passing=True)

Plan = Callable[[SlideTask, int], "SlideOutcome | str"]
"""What happens to a task at its n-th try: an outcome, `dies` or `hangs`."""


@dataclass
class FakePool:
    """Each call of `events` is a second; a slide takes one."""

    plan: Plan
    starts: bool = True
    now: float = 0.0
    alive: set[int] = field(default_factory=set)
    made: int = 0
    starting: list[int] = field(default_factory=list)
    running: dict[int, SlideTask] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    given: list[tuple[str, str | None]] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    most: int = 0

    def add(self) -> int:
        self.made += 1
        self.alive.add(self.made)
        self.starting.append(self.made)
        return self.made

    def give(self, worker: int, task: SlideTask, coming: str | None) -> None:
        assert worker in self.alive
        assert worker not in self.running
        self.running[worker] = task
        self.tries[task.entry.id] += 1
        self.given.append((task.entry.id, coming))
        self.most = max(self.most, len(self.running))

    def events(self, timeout_s: float) -> list[Event[int]]:
        self.now += 1
        found: list[Event[int]] = []
        found += [WorkerReady(worker) if self.starts else WorkerDied(worker, "no models") for worker in self.starting]
        self.starting = []
        for worker, task in list(self.running.items()):
            outcome = self.plan(task, self.tries[task.entry.id])
            if outcome == "hangs":
                continue
            del self.running[worker]
            if isinstance(outcome, SlideOutcome):
                found.append(TaskEnded(worker, outcome))
            else:
                self.alive.discard(worker)
                found.append(WorkerDied(worker, "killed"))
        return found

    def kill(self, worker: int) -> None:
        self.killed.append(worker)
        self.alive.discard(worker)
        self.running.pop(worker, None)


def task(name: str, *, source: str | None = None, kept: bool = False, size: int | None = None) -> SlideTask:
    return SlideTask(
        ManifestEntry(name, source or f"/{name}"), SourceFile(size), Blob("report", 1, 1.0) if kept else None
    )


def score(task: SlideTask, _: int = 1) -> SlideOutcome:
    return SlideOutcome(task.entry.id, "scored", seconds=1.0)


def fail(task: SlideTask, problem: SlideProblem) -> SlideOutcome:
    return SlideOutcome(task.entry.id, "failed", problem)


def run(
    pool: FakePool, tasks: list[SlideTask], *, workers: int = 2, limits: TimeLimits | None = None
) -> dict[str, tuple[SlideOutcome, int]]:
    found = {}
    for outcome, tries in dispatch(tasks, pool, workers=workers, limits=limits or TimeLimits(), clock=lambda: pool.now):
        assert outcome.slide not in found, "a slide ends once"
        found[outcome.slide] = outcome, tries
        assert pool.now < 10_000
    return found


def test_every_slide_is_scored_by_as_many_workers_as_there_are() -> None:
    pool = FakePool(score)
    found = run(pool, [task(f"s{i}") for i in range(7)], workers=3)
    assert len(found) == 7
    assert pool.most == 3
    assert all(tries == 1 for _, tries in found.values())


def test_no_more_workers_are_started_than_there_are_slides() -> None:
    pool = FakePool(score)
    run(pool, [task("a")], workers=8)
    assert pool.made == 1
    run(pool, [], workers=8)
    assert pool.made == 1


def test_a_bad_slide_is_tried_once_and_one_that_may_pass_again() -> None:
    def plan(task: SlideTask, tries: int) -> SlideOutcome:
        if task.entry.id == "bad":
            return fail(task, BAD)
        return fail(task, LATER) if task.entry.id == "slow" and tries < 3 else score(task)

    pool = FakePool(plan)
    found = run(pool, [task(n) for n in ("bad", "slow", "good")])
    assert found["bad"] == (SlideOutcome("bad", "failed", BAD), 1)
    assert found["slow"][0].state == "scored"
    assert found["slow"][1] == 3
    assert pool.tries["good"] == 1
    assert [name for name, _ in pool.given][-1] == "slow"


def test_a_slide_that_ends_its_worker_every_time_is_given_up() -> None:
    pool = FakePool(lambda task, _: "dies" if task.entry.id == "poison" else score(task))
    found = run(pool, [task(n) for n in ("poison", "a", "b", "c")])
    outcome, tries = found["poison"]
    assert tries == MAX_TRIES
    assert outcome.problem is not None
    assert outcome.problem.kind == "worker-died"
    assert "killed" in outcome.problem.detail
    assert all(found[name][1] == 1 for name in ("a", "b", "c"))
    assert pool.made == 2 + MAX_TRIES


def test_a_slide_that_takes_too_long_goes_to_another_worker() -> None:
    pool = FakePool(lambda task, tries: "hangs" if task.entry.id == "slow" and tries == 1 else score(task))
    found = run(pool, [task("slow"), task("a")], limits=TimeLimits(fixed=20))
    assert found["slow"] == (SlideOutcome("slow", "scored", seconds=1.0), 2)
    assert len(pool.killed) == 1
    assert 20 < pool.now < 40


def test_one_that_always_takes_too_long_is_given_up() -> None:
    pool = FakePool(lambda task, _: "hangs")
    outcome, tries = run(pool, [task("slow")], limits=TimeLimits(fixed=20))["slow"]
    assert (tries, outcome.problem and outcome.problem.kind) == (MAX_TRIES, "time-limit")


def test_workers_that_do_not_start_end_the_run() -> None:
    pool = FakePool(score, starts=False)
    with pytest.raises(CohortError, match="workers end before they can score: no models"):
        run(pool, [task("a")])


def test_the_next_slide_is_announced_where_it_has_to_be_fetched() -> None:
    pool = FakePool(score)
    tasks = [
        task("k", source="s3://b/k", kept=True),
        task("a", source="s3://b/a"),
        task("b"),
        task("c", source="s3://b/c"),
    ]
    run(pool, tasks, workers=1)
    assert pool.given == [("k", "s3://b/a"), ("a", None), ("b", "s3://b/c"), ("c", None)]


def test_a_limit_is_of_the_slide_s_size() -> None:
    limits = TimeLimits()
    assert limits.seconds(10**9) == TimeLimits.LONGEST_S
    for number in range(10):
        limits.learn(10**6 * (number + 1), 2.0 * (number + 1))
    assert limits.seconds(10**6) == TimeLimits.SHORTEST_S
    assert limits.seconds(10**9) == pytest.approx(10 * 2000)
    assert limits.seconds(None) == pytest.approx(TimeLimits.SHORTEST_S)
    assert limits.seconds(10**12) == TimeLimits.LONGEST_S
    assert TimeLimits(fixed=5).seconds(10**12) == 5


@given(
    fates=st.lists(
        st.lists(st.sampled_from(["ok", "bad", "later", "dies", "hangs"]), min_size=4, max_size=4), max_size=12
    ),
    workers=st.integers(1, 4),
)
def test_whatever_happens_every_slide_ends_once(fates: list[list[str]], workers: int) -> None:
    def plan(task: SlideTask, tries: int) -> SlideOutcome | str:
        fate = fates[int(task.entry.id)][tries - 1]
        outcomes = {"ok": score(task), "bad": fail(task, BAD), "later": fail(task, LATER)}
        return outcomes.get(fate, fate)

    pool = FakePool(plan)
    found = run(pool, [task(str(i)) for i in range(len(fates))], workers=workers, limits=TimeLimits(fixed=5))
    assert len(found) == len(fates)
    for name, (outcome, tries) in found.items():
        fate = fates[int(name)]
        last = next((n for n, f in enumerate(fate[:MAX_TRIES], 1) if f in ("ok", "bad")), MAX_TRIES)
        assert tries == last == pool.tries[name]
        assert (outcome.state == "scored") == (fate[last - 1] == "ok")
