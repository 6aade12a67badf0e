"""`/v1/analyses/{id}/map`: the scores of the lattice as numbers, for viewers that colour them by themselves."""

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.api.answers import BINARY
from serving.api.problems import responses
from serving.api.routes import address
from serving.api.services import ServingResults

FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
"""A result never changes."""


class MapView(BaseModel):
    """Where the scores lie: element [row, column] is the sub-tile at (x + column * step, y + row * step), level-0 px."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: float
    y: float
    step: float
    window: float = Field(description="Side of a sub-tile, level-0 px.")
    mpp: float = Field(description="Microns per level-0 px.")
    rows: int
    columns: int
    scores: str = Field(description="Address of the scores: float32, little-endian, row by row; NaN where none.")
    triage: str | None = Field(
        default=None,
        description="Of a fast analysis: address of the light net's probabilities where it alone looked, NaN elsewhere, in the same "
        "form. They are no scores of Reg-NS.",
    )


router = APIRouter(tags=["viewers"])


@router.get(
    "/v1/analyses/{analysis_id}/map",
    summary="Frame of the mitosis map",
    responses=responses("not-found", "not-finished", "busy"),
)
async def frame(results: ServingResults, request: Request, analysis_id: str) -> MapView:
    """Where the lattice of scores lies on the slide."""
    job, analysis = await results.show(request, analysis_id)
    lattice = analysis.mitosis_map
    rows, columns = lattice.scores.shape
    return MapView(
        x=lattice.x,
        y=lattice.y,
        step=lattice.step,
        window=lattice.window,
        mpp=lattice.mpp,
        rows=rows,
        columns=columns,
        scores=address(f"/v1/analyses/{job.id}/map/scores"),
        triage=None if lattice.triage is None else address(f"/v1/analyses/{job.id}/map/triage"),
    )


@router.get(
    "/v1/analyses/{analysis_id}/map/scores",
    summary="Scores of the mitosis map",
    response_class=Response,
    responses={
        200: {"description": "float32", "content": {"application/octet-stream": BINARY}},
        **responses("not-found", "not-finished", "busy"),
    },
)
async def scores(results: ServingResults, request: Request, analysis_id: str) -> Response:
    """Every score of the lattice."""
    _, analysis = await results.show(request, analysis_id)
    content = analysis.mitosis_map.scores.astype("<f4").tobytes()
    return Response(content, media_type="application/octet-stream", headers=FOREVER)


@router.get(
    "/v1/analyses/{analysis_id}/map/triage",
    summary="What triage says where Reg-NS did not look",
    response_class=Response,
    responses={
        200: {"description": "float32", "content": {"application/octet-stream": BINARY}},
        **responses("not-found", "not-finished", "busy"),
    },
)
async def triage(results: ServingResults, request: Request, analysis_id: str) -> Response:
    """Probabilities of the lattice of a fast analysis; all NaN of others."""
    _, analysis = await results.show(request, analysis_id)
    lattice = analysis.mitosis_map
    light = np.full_like(lattice.scores, np.nan) if lattice.triage is None else lattice.triage
    return Response(light.astype("<f4").tobytes(), media_type="application/octet-stream", headers=FOREVER)
