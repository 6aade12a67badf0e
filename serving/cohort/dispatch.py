"""Who scores which slide: slides are dealt out one by one, and again where a worker dies, a try fails or takes too long."""

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from serving.cohort.errors import CohortError, TimeLimitError, WorkerDiedError, describe_problem
from serving.cohort.manifest import is_path
from serving.cohort.worker import SlideOutcome, SlideTask
from serving.core.errors import MitoserveError

MAX_TRIES = 3
"""Of a slide whose problem may pass: a worker that died, storage that did not answer, time that ran out."""
MAX_FALSE_STARTS = 3
"""Workers in a row that end before they can score: the next one would too."""
TICK_S = 0.5

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class WorkerReady(Generic[W]):
    """A worker can score."""

    worker: W


@dataclass(frozen=True, slots=True)
class TaskEnded(Generic[W]):
    """A worker is done with its slide."""

    worker: W
    outcome: SlideOutcome


@dataclass(frozen=True, slots=True)
class WorkerDied(Generic[W]):
    """A worker is no more."""

    worker: W
    reason: str


Event = WorkerReady[W] | TaskEnded[W] | WorkerDied[W]


class WorkerPool(Protocol[W]):
    """Workers, each a process somewhere, that score one slide at a time."""

    def add(self) -> W:
        """Start a worker; `WorkerReady` or `WorkerDied` follows."""

    def give(self, worker: W, task: SlideTask, coming: str | None) -> None:
        """Let an idle worker score a slide; `TaskEnded` or `WorkerDied` follows. coming : see `SlideWorker.score`."""

    def events(self, timeout_s: float) -> list[Event[W]]:
        """What happened since, waiting for at most so long."""

    def kill(self, worker: W) -> None:
        """End a worker at once; no event follows."""


@dataclass(slots=True)
class TimeLimits:
    """How long a slide may take, by what others took.

    fixed : seconds for every slide, in place of an estimate
    """

    fixed: float | None = None
    _rates: list[float] = field(default_factory=list)
    _seconds: list[float] = field(default_factory=list)

    LONGEST_S = 86400.0
    """A slide of 3,000 tiles takes hours on one core."""
    SHORTEST_S = 600.0
    """Storage may pause for minutes."""
    FACTOR = 10
    """Slides of a size differ: in how much is tissue, and how much of it is busy."""
    ENOUGH = 10
    """Slides that must have ended before they say what is usual."""

    def seconds(self, size: int | None) -> float:
        """For a slide of so many bytes."""
        if self.fixed is not None:
            return self.fixed
        if len(self._seconds) < self.ENOUGH:
            return self.LONGEST_S
        known = size is not None and self._rates
        usual = statistics.median(self._rates) * (size or 0) if known else max(self._seconds)
        return min(max(self.FACTOR * usual, self.SHORTEST_S), self.LONGEST_S)

    def learn(self, size: int | None, seconds: float) -> None:
        """Note what a slide of so many bytes took."""
        self._seconds.append(seconds)
        if size:
            self._rates.append(seconds / size)


Last = tuple[SlideOutcome, int]
"""A task's last outcome, and the number of its tries."""


def dispatch(
    tasks: Sequence[SlideTask],
    pool: WorkerPool[W],
    *,
    workers: int,
    limits: TimeLimits,
    tick: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Last]:
    """Every task's last outcome, as they end.

    Slides that failed for now come again after all others, so that what failed them has time to pass.

    tick : called about twice a second

    Raises
    ------
    CohortError
        If workers end before they can score, time and again.
    """
    board = _Board(pool, deque(tasks), limits, clock)
    for _ in range(min(workers, len(tasks))):
        pool.add()
    while board.waiting or board.running:
        board.deal_out()
        for event in pool.events(TICK_S):
            yield from board.take_in(event)
        yield from board.end_what_is_late()
        tick()


@dataclass(frozen=True, slots=True)
class _Running:
    task: SlideTask
    started: float
    limit_s: float


@dataclass(slots=True)
class _Board(Generic[W]):
    """Which slides wait, and who scores which."""

    pool: WorkerPool[W]
    waiting: "deque[SlideTask]"
    limits: TimeLimits
    clock: Callable[[], float]
    running: dict[W, _Running] = field(default_factory=dict)
    idle: list[W] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    false_starts: int = 0

    def deal_out(self) -> None:
        """Give every idle worker a slide."""
        while self.idle and self.waiting:
            worker, task = self.idle.pop(), self.waiting.popleft()
            self.tries[task.entry.id] += 1
            self.running[worker] = _Running(task, self.clock(), self.limits.seconds(task.facts.size))
            self.pool.give(worker, task, _coming(self.waiting))

    def take_in(self, event: Event[W]) -> Iterator[Last]:
        """What an event means; gives the slide that it was the last word on, if any."""
        run = self.running.pop(event.worker, None)
        if isinstance(event, WorkerDied):
            self.false_starts = self.false_starts + 1 if run is None else 0
            if self.false_starts >= MAX_FALSE_STARTS:
                raise CohortError(f"workers end before they can score: {event.reason}")
            self.pool.add()
            if run is not None:
                died = WorkerDiedError(f"the worker ended while it scored the slide: {event.reason}")
                yield from self._end(run, self._failed_outcome(run, died))
            return
        self.idle.append(event.worker)
        if isinstance(event, TaskEnded) and run is not None:
            self.false_starts = 0
            yield from self._end(run, event.outcome)

    def end_what_is_late(self) -> Iterator[Last]:
        """Replace the workers whose slides took too long."""
        for worker, run in list(self.running.items()):
            if self.clock() - run.started > run.limit_s:
                self.pool.kill(worker)
                self.pool.add()
                del self.running[worker]
                late = TimeLimitError(f"scoring took more than {run.limit_s:.0f} s, which is far more than usual")
                yield from self._end(run, self._failed_outcome(run, late))

    def _end(self, run: _Running, outcome: SlideOutcome) -> Iterator[Last]:
        if outcome.state == "scored":
            self.limits.learn(run.task.facts.size, outcome.seconds)
        tries = self.tries[outcome.slide]
        if outcome.problem is not None and outcome.problem.passing and tries < MAX_TRIES:
            self.waiting.append(run.task)
        else:
            yield outcome, tries

    def _failed_outcome(self, run: _Running, error: MitoserveError) -> SlideOutcome:
        return SlideOutcome(run.task.entry.id, "failed", describe_problem(error), seconds=self.clock() - run.started)


def _coming(waiting: "deque[SlideTask]") -> str | None:
    """The source of the next slide, where it has to be fetched and will not be found done already."""
    if not waiting or waiting[0].kept is not None or is_path(waiting[0].entry.source):
        return None
    return waiting[0].entry.source
