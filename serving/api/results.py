"""Results that were asked for lately: a viewer asks for several parts of one, and each would read all of it."""

import threading
from collections import OrderedDict

from serving.api.score import load_job_result
from serving.api.workload import Workload
from serving.jobs.job import AnalysisJob
from serving.scoring.analysis import Analysis

KEPT = 2
"""A result of 100,000 detections takes some 100 MB."""


class ResultCache:
    """The results of analyses that have ended."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._kept: OrderedDict[tuple[str, str], Analysis] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, analysis_id: str, *, owner: str | None) -> tuple[AnalysisJob, Analysis]:
        """An analysis of the owner's and its result.

        Raises
        ------
        NotFoundError, AnalysisFailedError
            If there is none.
        """
        job = self._workload.jobs.get(analysis_id, owner=owner)
        key = (job.result or "", job.name)
        with self._lock:
            if (found := self._kept.get(key)) is not None and job.state == "succeeded":
                self._kept.move_to_end(key)
                return job, found
        found = load_job_result(self._workload, job)
        with self._lock:
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return job, found
