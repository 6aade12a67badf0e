"""An analysis as clients see it."""

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.addresses import address
from serving.api.problems import KINDS
from serving.core.research_use import RESEARCH_USE
from serving.jobs.job import AnalysisJob, State


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Progress(_Part):
    """How far an analysis is."""

    tiles_done: int
    tiles_total: int | None = Field(description="Null until the slide was looked at.")
    seconds_left: float | None = Field(description="By the tiles so far; null where nothing is known.")


class AnalysisView(_Part):
    """One analysis. It changes until its state is succeeded, failed or cancelled, and then no more."""

    id: str
    slide: str = Field(description="Id (SHA-256) of the slide.")
    slide_name: str
    state: State
    priority: int
    created_at: str = Field(description="UTC, ISO 8601.")
    started_at: str | None
    finished_at: str | None
    progress: Progress
    problem: str | None = Field(description="Kind of the error that it ended with: urn:mitoserve:problem:<kind>.")
    detail: str | None = Field(description="What went wrong and what to do, or why it waits.")
    links: dict[Literal["self", "events", "report"], str]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


class AnalysisPage(_Part):
    """Some analyses, the newest first."""

    analyses: list[AnalysisView]
    next: str | None = Field(description="Address of the next page; null on the last.")


def view(job: AnalysisJob) -> AnalysisView:
    """The analysis as clients see it."""
    own = location(job)
    return AnalysisView(
        id=job.id,
        slide=job.sha256,
        slide_name=job.name,
        state=job.state,
        priority=job.priority,
        created_at=iso(job.created_at),
        started_at=None if job.started_at is None else iso(job.started_at),
        finished_at=None if job.finished_at is None else iso(job.finished_at),
        progress=Progress(tiles_done=job.tiles_done, tiles_total=job.tiles_total, seconds_left=job.seconds_left),
        problem=f"urn:mitoserve:problem:{job.problem}" if job.problem in KINDS else None,
        detail=job.detail,
        links={"self": own, "events": f"{own}/events", "report": f"{own}/report"},
    )


def location(job: AnalysisJob) -> str:
    """Address of the analysis."""
    return address(f"/v1/analyses/{job.id}")


def iso(seconds: float) -> str:
    """Seconds since 1970 as UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
