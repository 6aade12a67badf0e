"""The HTTP app: start reading here. It runs the same inside BentoML, under any ASGI server and in tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from serving.api import problems
from serving.api.analyses import analysis_routes
from serving.api.bounds import BoundedJson
from serving.api.events import event_routes
from serving.api.info import info_routes
from serving.api.score import score_routes
from serving.api.slides import slide_routes
from serving.api.uploads import upload_routes
from serving.api.workload import Workload
from serving.scoring.detector import Detector
from serving.settings import Settings
from serving.wsi.modelcard import RESEARCH_USE

API_VERSION = "1.0"
"""Of the addresses and their answers; the software's version is in each report."""

_EXPOSED = (
    "Location", "Retry-After", "Mitoserve-Slide", "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size",
    "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Metadata",
)  # fmt: skip
"""Headers of answers that a web page may read."""


def create_app(settings: Settings, *, load: Callable[[], Detector] | None = None) -> FastAPI:
    """The app for `settings`; a worker process loads the models in `settings.models`.

    load : gives other models, which a worker in this process runs

    Nothing is loaded or opened before the app's lifespan starts.
    """
    workload = Workload(settings, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with workload.running():
            yield

    # The documentation pages of FastAPI load scripts from elsewhere; the document itself is served instead.
    app = FastAPI(title="Mitoserve", version=API_VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    for routes in (info_routes, score_routes, slide_routes, upload_routes, analysis_routes, event_routes):
        app.include_router(routes(workload))
    problems.install(app)
    app.add_middleware(BoundedJson)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    # FastAPI's documented way to complete its document.
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of every route, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title,
            version=app.version,
            summary="Slide-level mitosis scoring in H&E whole-slide images",
            description=f"{RESEARCH_USE} Every error is an application/problem+json document.",
            routes=app.routes,
        )
        schemas = app.openapi_schema["components"]["schemas"]
        schemas["Problem"] = problems.Problem.model_json_schema()
    return app.openapi_schema
