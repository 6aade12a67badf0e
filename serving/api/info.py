"""What the server says of itself: health, room on its disk, metrics, models and the report's schema."""

import math
import shutil
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse, Response

from serving.api.problems import NoSuchModelError, NotReadyError, responses
from serving.api.services import ServingWorkload
from serving.api.workload import Workload
from serving.core.errors import BusyError, ModelError
from serving.core.modelcard import ModelCard
from serving.core.report import Report
from serving.core.words import state_time
from serving.drift.measures import LEVELS, NAMES
from serving.isolation import landlock
from serving.jobs.job import STATES
from serving.observability import metrics
from serving.observability.metrics import gpu_use
from serving.scoring.detector import find_map_card
from serving.settings import ServerSettings
from serving.store.slides import SlideStore


def read_free_bytes(settings: ServerSettings) -> int:
    """Bytes that are free on the disk of the state folder."""
    return shutil.disk_usage(settings.state).free


def check_disk_space(store: SlideStore) -> None:
    """Nothing, where the disk has room, or gets it by going without copies.

    Raises
    ------
    NotReadyError
        If it has less than `settings.min_free_bytes` left.
    """
    try:
        store.check_room(0)
    except OSError as error:
        raise NotReadyError(
            f"the disk of MITOSIS_STATE has {read_free_bytes(store.settings)} bytes left, less than the "
            f"{store.settings.min_free_bytes} of MITOSIS_MIN_FREE_BYTES; make room"
        ) from error


class Models(BaseModel):
    """The models that this server scores with."""

    model_config = ConfigDict(extra="forbid")

    models: list[ModelCard]


class ServedRelease(BaseModel):
    """A release that an analysis may name."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(description="What `release` of an analysis's options names.")
    models: list[str] = Field(description="name@version of each.")
    at: str = Field(description="When it was promoted. UTC, ISO 8601.")
    serves: bool = Field(description="Whether analyses that name no release use it now.")


class ServedReleases(BaseModel):
    """The releases that have served here and may serve again, the newest first."""

    model_config = ConfigDict(extra="forbid")

    releases: list[ServedRelease]


router = APIRouter()


@router.get(
    "/livez",
    summary="Is the server alive?",
    tags=["server"],
    response_class=PlainTextResponse,
    responses=responses(),
)
async def livez() -> str:
    """Answers as long as the process runs."""
    return "alive\n"


@router.get(
    "/readyz",
    summary="Can the server score?",
    tags=["server"],
    response_class=PlainTextResponse,
    responses=responses("model-unavailable", "not-ready"),
)
async def readyz(workload: ServingWorkload) -> str:
    """Answers 200 once the server can work, else 503 with the reason.

    The models are loaded, there is room on disk, and the database and the object store answer and are those that it started
    with.
    """
    try:
        await run_sync(workload.database.check)
        await run_sync(workload.worker_registry.cards)
        await run_sync(check_disk_space, workload.store)
        await run_sync(workload.store.kept.check)
    except BusyError as error:
        raise NotReadyError(str(error)) from error
    return "ready\n"


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    tags=["server"],
    response_class=PlainTextResponse,
    responses=responses(),
)
def prometheus(workload: ServingWorkload) -> Response:
    """Requests, analyses, errors, stages, drift, disks and GPUs, in Prometheus's text format."""
    metrics.set_free(read_free_bytes(workload.settings))
    metrics.set_decoders_bound(landlock.version() > 0)
    metrics.set_analyses(workload.jobs.counts())
    shadow = workload.registry.shadows.running()
    metrics.set_shadow(dict.fromkeys(STATES, 0) if shadow is None else workload.shadows.counts(shadow.number))
    _state_drift(workload)
    for use in gpu_use():
        metrics.set_gpu(use)
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


@router.get("/v1/models", summary="The models' cards", tags=["models"], responses=responses("model-unavailable"))
async def models(workload: ServingWorkload) -> Models:
    """Cards of the models in use: what they are, their thresholds, what was measured, their limits."""
    return Models(models=await run_sync(workload.worker_registry.cards))


@router.get("/v1/releases", summary="Releases to score with", tags=["models"], responses=responses("busy"))
async def releases(workload: ServingWorkload) -> ServedReleases:
    """Those that an analysis may name: an administrator promoted each of them once, and no version of it is retired."""
    store = workload.registry.releases
    found, current = await run_sync(lambda: (store.served(), store.current()))
    serves = None if current is None else current.number
    views = [
        ServedRelease(
            number=r.number, models=[m.label for m in r.models], at=state_time(r.at), serves=r.number == serves
        )
        for r in found
    ]
    return ServedReleases(releases=views)


@router.get(
    "/v1/models/{name}",
    summary="One model's card",
    tags=["models"],
    responses=responses("not-found", "model-unavailable"),
)
async def model(workload: ServingWorkload, name: str) -> ModelCard:
    """The card of the model `name`."""
    cards = await run_sync(workload.worker_registry.cards)
    for card in cards:
        if card.name == name:
            return card
    raise NoSuchModelError(f"no model {name[:80]!r}; this server has {', '.join(card.name for card in cards)}")


@router.get("/v1/schema/report", summary="JSON Schema of the report", tags=["scoring"], responses=responses())
async def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every report validates against."""
    return Report.model_json_schema(mode="serialization")


def _state_drift(workload: Workload) -> None:
    try:
        found = workload.drift.drift(find_map_card(workload.worker_registry.cards()))
    except ModelError:  # they are still loading, or cannot be loaded, which /readyz tells
        return
    known = {measure.name: (measure.value, LEVELS.index(measure.level)) for measure in found.measures}
    metrics.set_drift(found.recent, {name: known.get(name, (math.nan, 0)) for name in NAMES})
