"""Results, and those that were asked for lately: a viewer asks for several parts of one, and each would read all of it."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from anyio.to_thread import run_sync
from starlette.requests import Request

from serving.api.owners import visible_owner
from serving.api.problems import FailedAnalysisError
from serving.api.workload import Workload
from serving.core.report import Report
from serving.jobs.job import AnalysisJob, ResultLostError
from serving.jobs.results import load_result, read_report
from serving.scoring.analysis import Analysis

KEPT = 2
"""A result of 100,000 detections takes some 100 MB."""


def load_job_result(workload: Workload, job: AnalysisJob) -> Analysis:
    """The result of a job that has ended; raises the error that it ended with."""
    with _stored_result(workload, job) as name:
        return load_result(workload.store.kept, name, slide_name=job.name)


@contextmanager
def _stored_result(workload: Workload, job: AnalysisJob) -> Iterator[str]:
    """The folder of a job's result, to read from; raises the error that the job ended with, and notes that a result is lost."""
    if job.state != "succeeded" or job.result is None:
        raise FailedAnalysisError(
            job.problem or "not-finished", job.detail or f"the analysis is {job.state}; it has no result"
        )
    try:
        yield job.result
    except ResultLostError:
        workload.jobs.lose(job)
        raise


class ResultCache:
    """The results of analyses that have ended."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._kept: OrderedDict[tuple[str, str], Analysis] = OrderedDict()
        self._lock = threading.Lock()

    async def show(self, request: Request, analysis_id: str) -> tuple[AnalysisJob, Analysis]:
        """An analysis and its result, if it is there for whoever asks; raises as `get`."""
        owner = visible_owner(request)
        return await run_sync(lambda: self.get(analysis_id, owner=owner))

    def get(self, analysis_id: str, *, owner: str | None, keep: bool = True) -> tuple[AnalysisJob, Analysis]:
        """An analysis of the owner's and its result.

        keep : whether a result that was not asked for lately takes the place of another

        Raises
        ------
        NotFoundError, AnalysisFailedError
            If there is none.
        """
        job = self.workload.jobs.get(analysis_id, owner=owner)
        if (known := self._find(job)) is not None:
            return job, known
        found = load_job_result(self.workload, job)
        if not keep:
            return job, found
        with self._lock:
            self._kept[_key(job)] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return job, found

    def get_report(self, analysis_id: str, *, owner: str | None) -> Report:
        """The report of an analysis of the owner's, as it was made, without reading its rasters; raises as `get`."""
        job = self.workload.jobs.get(analysis_id, owner=owner)
        if (known := self._find(job)) is not None:
            return known.report
        with _stored_result(self.workload, job) as name:
            return read_report(self.workload.store.kept, name)

    def _find(self, job: AnalysisJob) -> Analysis | None:
        with self._lock:
            found = self._kept.get(_key(job)) if job.state == "succeeded" else None
            if found is not None:
                self._kept.move_to_end(_key(job))
            return found


def _key(job: AnalysisJob) -> tuple[str, str]:
    return job.result or "", job.name
