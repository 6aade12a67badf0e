"""Results that were asked for lately: a viewer asks for several parts of one, and each would read all of it."""

import threading
from collections import OrderedDict

from serving.api.score import result_of
from serving.api.workload import Workload
from serving.jobs.job import Job
from serving.scoring.analysis import Analysis

KEPT = 2
"""A result of 100,000 detections takes some 100 MB."""


class Results:
    """The results of analyses that have ended."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._kept: OrderedDict[tuple[str, str], Analysis] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, analysis_id: str, *, owner: str | None) -> tuple[Job, Analysis]:
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
        found = result_of(self._workload, job)
        with self._lock:
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return job, found
