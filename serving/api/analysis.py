"""An analysis as clients see it."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.problems import KINDS
from serving.api.routes import address
from serving.core.words import RESEARCH_USE, state_time
from serving.jobs.job import AnalysisJob, State, decode_options
from serving.jobs.result_summary import decode_summary
from serving.jobs.sending import Sending
from serving.scoring.preliminary import Preliminary


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Progress(_Part):
    """How far an analysis is."""

    tiles_done: int
    tiles_total: int | None = Field(description="Null until the slide was looked at.")
    seconds_left: float | None = Field(description="By the tiles so far; null where nothing is known.")
    preliminary: Preliminary | None = Field(
        default=None,
        description="What was known when tiles were finished last: how much was looked at, and the fullest hotspot so far. Null "
        "before the first, and once there is a result.",
    )


class SummaryView(_Part):
    """A result in a few numbers and words."""

    mitotic_figures: int
    per_mm2: float | None = Field(description="Null without tissue.")
    tissue_area_mm2: float
    warnings: list[str]
    models: list[str] = Field(description="name@version of each.")


class SendingView(_Part):
    """A file of the result that the server sends by itself."""

    to: str = Field(description="As the operator named it.")
    format: str
    signature: int | None = Field(description="Whose counts are sent; null of the result as the models gave it.")
    state: Literal["waiting", "delivered", "failed"] = Field(
        description="`failed` where no other attempt can help, such as of a format that cannot hold the result."
    )
    attempts: int
    outcome: str = Field(description="Of the last attempt; empty where it arrived or there was none.")
    next_at: str | None = Field(description="UTC, ISO 8601, of the next attempt.")


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
    options: dict[str, Any] = Field(description="Those that differ from the defaults, by name.")
    summary: SummaryView | None = Field(description="Of the result, at its own threshold; null where there is none.")
    sent: list[SendingView] = Field(
        default_factory=list,
        description="What the server sends of the result; empty in lists, and where it sends nothing.",
    )
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


class AnalysisPage(_Part):
    """Some analyses, the newest first."""

    analyses: list[AnalysisView]
    next: str | None = Field(description="Address of the next page; null on the last.")


def view(job: AnalysisJob, sendings: Sequence[Sending] = ()) -> AnalysisView:
    """The analysis as clients see it. sendings : what the server sends of it."""
    own = location(job)
    return AnalysisView(
        id=job.id,
        slide=job.sha256,
        slide_name=job.name,
        state=job.state,
        priority=job.priority,
        created_at=state_time(job.created_at),
        started_at=state_time(job.started_at),
        finished_at=state_time(job.finished_at),
        progress=Progress(
            tiles_done=job.tiles_done,
            tiles_total=job.tiles_total,
            seconds_left=job.seconds_left,
            preliminary=None if (known := job.describe_preliminary()) is None else Preliminary.model_validate(known),
        ),
        problem=f"urn:mitoserve:problem:{job.problem}" if job.problem in KINDS else None,
        detail=job.detail,
        links={"self": own, "events": f"{own}/events", "report": f"{own}/report"},
        options=_list_options(job),
        summary=_summary(job),
        sent=[
            SendingView(
                to=one.to,
                format=one.format,
                signature=one.signature,
                state=one.state,
                attempts=one.attempts,
                outcome=one.outcome,
                next_at=state_time(one.next_at),
            )
            for one in sendings
        ],
    )


def _list_options(job: AnalysisJob) -> dict[str, Any]:
    """Options that are not the defaults; those of counting stand beside the others, as requests state them."""
    stated = decode_options(job.options).model_dump(mode="json", exclude_defaults=True)
    counting = stated.pop("counting", {})
    return {**stated, **counting}


def _summary(job: AnalysisJob) -> SummaryView | None:
    found = decode_summary(figures=job.figures, density=job.density, summary=job.summary)
    if found is None or job.result is None:
        return None
    return SummaryView(
        mitotic_figures=found.figures,
        per_mm2=found.density,
        tissue_area_mm2=found.tissue_mm2,
        warnings=list(found.warnings),
        models=list(found.models),
    )


def location(job: AnalysisJob) -> str:
    """Address of the analysis."""
    return address(f"/v1/analyses/{job.id}")
