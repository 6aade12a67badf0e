"""A crew of Ray actors: each is a process with models of its own, somewhere in the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from serving import __version__
from serving.cohort.dispatch import Event, TaskEnded, WorkerDied, WorkerReady
from serving.cohort.errors import CohortError, describe_problem
from serving.cohort.tables import TableMember
from serving.cohort.worker import ModelFiles, SlideOutcome, SlideTask, SlideWorker, WorkOrder

CLOSE_S = 10.0
"""That workers have to end their decoders; then they are ended, and so are those."""


@dataclass(eq=False, slots=True)
class RayWorker:
    """An actor, with what it was asked and has not answered yet."""

    actor: Any
    starting: Any = None
    running: Any = None
    slide: str = ""
    polled: Any = None
    tiles: int = 0


class RayWorkerPool:
    """See `Crew`."""

    def __init__(self, order: WorkOrder, models: ModelFiles, *, gpus: float) -> None:
        """`gpus`: that each worker has to itself."""
        self._order = order
        # Held here: Ray drops what nobody refers to.
        self._models = ray.put(models)
        # One thread scores, the other answers how far that is.
        self._actor = ray.remote(SlideWorker).options(num_cpus=order.threads, num_gpus=gpus, max_concurrency=2)
        self._workers: list[RayWorker] = []

    def add(self) -> RayWorker:
        """See `Crew.add`."""
        actor = self._actor.remote(self._order, self._models)
        worker = RayWorker(actor, starting=actor.ready.remote())
        self._workers.append(worker)
        return worker

    def give(self, worker: RayWorker, task: SlideTask, coming: str | None) -> None:
        """See `Crew.give`."""
        worker.slide, worker.running = task.entry.id, worker.actor.score.remote(task, coming)

    def events(self, timeout_s: float) -> list[Event[RayWorker]]:
        """See `Crew.events`."""
        asked = {
            ref: worker for worker in self._workers for ref in (worker.starting, worker.running) if ref is not None
        }
        done, _ = ray.wait(list(asked), num_returns=1, timeout=timeout_s)
        if done:
            done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        self._poll()
        return [self._event(asked[ref], ref) for ref in done]

    def kill(self, worker: RayWorker) -> None:
        """See `Crew.kill`."""
        ray.kill(worker.actor)
        self._workers.remove(worker)

    def tiles(self) -> int:
        """Tiles that are done of the slides that are being scored."""
        return sum(worker.tiles for worker in self._workers if worker.running is not None)

    def write_parts(self, parts: Mapping[int, Sequence[TableMember]]) -> int:
        """Have every part of the tables written by some worker; how many were not there.

        Raises
        ------
        MitoserveError
            What `tables.write_part` raises.
        CohortError
            If workers end over it.
        """
        workers = self._workers or [self.add()]
        asked = [
            workers[number % len(workers)].actor.write_part.remote(part, members)
            for number, (part, members) in enumerate(parts.items())
        ]
        try:
            return sum(ray.get(asked))
        except RayTaskError as error:
            problem = describe_problem(error.cause if isinstance(error.cause, Exception) else error)
            raise CohortError(f"the tables were not written: {problem.detail}") from error
        except RayError as error:
            raise CohortError(f"the tables were not written: {_line(error)}") from error

    def close(self) -> None:
        """End all workers in order."""
        ended = [worker.actor.close.remote() for worker in self._workers if worker.running is None]
        if ended:
            ray.wait(ended, num_returns=len(ended), timeout=CLOSE_S)
        for worker in list(self._workers):
            self.kill(worker)

    def _event(self, worker: RayWorker, ref: Any) -> Event[RayWorker]:
        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            # Whatever `score` lets out is no error of the slide: its answer holds those.
            outcome = SlideOutcome(worker.slide, "failed", describe_problem(error.cause or error))
            if ref == worker.starting:
                return self._dead(worker, str(error.cause or error))
        except RayActorError as error:
            return self._dead(worker, _line(error))
        else:
            if ref == worker.starting:
                worker.starting = None
                if answer["version"] != __version__:
                    raise CohortError(
                        f"{answer['node']} has mitoserve {answer['version']}, this is {__version__}: install the same"
                    )
                return WorkerReady(worker)
            outcome = answer
        worker.running, worker.tiles, worker.polled = None, 0, None
        return TaskEnded(worker, outcome)

    def _dead(self, worker: RayWorker, reason: str) -> WorkerDied[RayWorker]:
        self._workers.remove(worker)
        return WorkerDied(worker, reason)

    def _poll(self) -> None:
        """Learn how far slides are, without waiting for a worker that does not answer."""
        for worker in self._workers:
            if worker.running is None:
                continue
            if worker.polled is not None and not ray.wait([worker.polled], timeout=0)[0]:
                continue
            try:
                worker.tiles = worker.tiles if worker.polled is None else ray.get(worker.polled)
                worker.polled = worker.actor.tiles.remote()
            except RayError:
                worker.polled = None


def _line(error: BaseException) -> str:
    """What Ray says of an error, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
