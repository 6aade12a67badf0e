"""`/v1/registry/drift`: whether recent slides are like those that a release was meant for. For administrators."""

from typing import Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from serving.api.problems import responses
from serving.api.services import ServingWorkload
from serving.core.card_parts import DriftReference
from serving.core.words import RESEARCH_USE, state_time
from serving.drift.measures import Level, Name
from serving.drift.watch import DriftResult
from serving.scoring.detector import find_map_card


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceView(_Part):
    """What recent slides are compared with."""

    source: str
    made_at: str | None = Field(description="UTC, ISO 8601; null of a card's.")
    reference: DriftReference


class MeasureView(_Part):
    """One distance of recent slides from the reference."""

    name: Name
    value: float
    unit: str
    watch: float = Field(description="From here on it is worth a look.")
    alarm: float
    source: str = Field(description="Of the two thresholds.")
    level: Level


class DriftView(_Part):
    """How the latest slides compare with the reference."""

    screening: str = Field(description="The Reg-NS that gave the scores, as name@version.")
    reference: ReferenceView | None = Field(description="Null until there are slides enough for one.")
    recent: int = Field(description="Slides since the reference that are looked at.")
    needed: int = Field(description="So many are needed.")
    level: Level | None = Field(description="The highest of all measures; null while nothing can be said.")
    measures: list[MeasureView]
    score_gap: float | None = Field(description="Kolmogorov-Smirnov distance of the scores' distributions.")
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


router = APIRouter(prefix="/v1/registry/drift", tags=["models"])


@router.get("", summary="Drift of scores and stains", responses=responses("model-unavailable", "busy"))
async def drift(workload: ServingWorkload) -> DriftView:
    """Scores and colours of the latest slides against a reference; nothing is said of any single slide."""

    def found() -> DriftView:
        card = find_map_card(workload.worker_registry.cards())
        return _view(f"{card.name}@{card.version}", workload.drift.drift(card))

    return await run_sync(found)


def _view(screening: str, drift: DriftResult) -> DriftView:
    known = drift.reference
    return DriftView(
        screening=screening,
        reference=None
        if known is None
        else ReferenceView(source=known.source, made_at=state_time(known.at), reference=known.reference),
        recent=drift.recent,
        needed=drift.needed,
        level=drift.level,
        measures=[MeasureView.model_validate(measure, from_attributes=True) for measure in drift.measures],
        score_gap=drift.score_gap,
    )
