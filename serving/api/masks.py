"""`/v1/analyses/{id}/mask`: tissue, and what quality control masks, as a picture of numbers that viewers colour."""

import io

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.api.answers import BINARY
from serving.api.maps import FOREVER
from serving.api.problems import responses
from serving.api.routes import address
from serving.api.services import ServingResults
from serving.quality.quality_check import QUALITY_CHECKS
from serving.scoring.analysis import Analysis


class MaskView(BaseModel):
    """How the picture lies: pixel [row, column] covers `step_x` x `step_y` level-0 px from (column * step_x, row * step_y)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    columns: int
    step_x: float
    step_y: float
    classes: list[str] = Field(description="What the picture's values mean: 0 is the first.")
    quality: bool = Field(description="Whether quality was controlled; if not, only the first two values occur.")
    picture: str = Field(description="Address of the picture: PNG, 8 bit grey.")


router = APIRouter(tags=["viewers"])


@router.get(
    "/v1/analyses/{analysis_id}/mask",
    summary="Frame of the tissue and quality mask",
    responses=responses("not-found", "not-finished", "busy"),
)
async def frame(results: ServingResults, request: Request, analysis_id: str) -> MaskView:
    """Where the mask lies on the slide, and what its values mean."""
    job, analysis = await results.show(request, analysis_id)
    tissue = await run_sync(analysis.find_tissue)
    rows, columns = tissue.tissue.shape
    return MaskView(
        rows=rows,
        columns=columns,
        step_x=tissue.step_x,
        step_y=tissue.step_y,
        classes=_name_classes(analysis),
        quality=analysis.quality is not None,
        picture=address(f"/v1/analyses/{job.id}/mask/picture"),
    )


@router.get(
    "/v1/analyses/{analysis_id}/mask/picture",
    summary="Tissue and quality mask",
    response_class=Response,
    responses={
        200: {"description": "The mask", "content": {"image/png": BINARY}},
        **responses("not-found", "not-finished", "busy"),
    },
)
async def picture(results: ServingResults, request: Request, analysis_id: str) -> Response:
    """The mask as a picture; its values are numbers of classes and look black."""
    _, analysis = await results.show(request, analysis_id)
    return Response(await run_sync(lambda: _png(analysis)), media_type="image/png", headers=FOREVER)


def _png(analysis: Analysis) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_classes(analysis)).save(buffer, "PNG")
    return buffer.getvalue()


def _name_classes(analysis: Analysis) -> list[str]:
    """What the picture's values mean: the reasons are those of which the slide was checked."""
    reasons = QUALITY_CHECKS if analysis.quality is None else analysis.quality.names
    return ["background", "tissue", *reasons]


def _classes(analysis: Analysis) -> NDArray[np.uint8]:
    """uint8, shape (rows, columns): places in `MaskView.classes`; what was not analysed is background."""
    tissue = analysis.find_tissue()
    classes = tissue.tissue.astype(np.uint8)
    if analysis.quality is not None:
        masked = analysis.quality.masked
        classes[masked] = analysis.quality.reasons[masked] + 1
    return np.where(tissue.analysed, classes, np.uint8(0)).astype(np.uint8)
