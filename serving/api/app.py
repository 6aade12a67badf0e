"""The HTTP app: start reading here. It runs the same inside BentoML, under any ASGI server and in tests."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from serving.access.access import open_access
from serving.access.local_key import FILE
from serving.access.login import BrowserLogin
from serving.api import (
    analyses,
    changes,
    counts,
    deepzoom,
    drift,
    events,
    iiif,
    info,
    login,
    maps,
    masks,
    monailabel,
    problems,
    projects,
    readings,
    regions,
    registry,
    reviews,
    score,
    shadows,
    signatures,
    slides,
    studies,
    uploads,
    viewer,
    worklist,
)
from serving.api.bounds import BoundedBodies, BoundedHeads
from serving.api.guard import LOGIN, PUBLIC, Guard
from serving.api.heads import HeadAsGet, SafeAnswers
from serving.api.pictures import Pictures
from serving.api.proxies import Proxies
from serving.api.request_log import RequestLog
from serving.api.results import ResultCache
from serving.api.routes import METHODS
from serving.api.services import Services
from serving.api.workload import Workload
from serving.core.words import RESEARCH_USE
from serving.observability.tracing import configure_tracing
from serving.quality.quality_check import QUALITY_CHECKS
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import AnyDetector
from serving.settings import ServerSettings
from serving.slides.readers.reader import SLIDE_READERS

API_VERSION = "1.0"
"""Of the addresses and their answers; the software's version is in each report."""

_log = logging.getLogger("mitoserve.http")

_RESOURCES = (
    info, login, projects, score, slides, worklist, uploads, analyses, events, changes, deepzoom, iiif, maps, masks, counts, regions, reviews, readings, signatures, studies, viewer, monailabel,
    registry, shadows, drift,
)  # fmt: skip
"""Modules with routes, in the order of the document."""

_EXPOSED = (
    "Location", "Retry-After", "Mitoserve-Slide", "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size",
    "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Metadata",
)  # fmt: skip
"""Headers of answers that a web page may read."""


def create_app(settings: ServerSettings, *, load: Callable[[], AnyDetector] | None = None) -> FastAPI:
    """The app for `settings`; a worker process loads the models in `settings.models`.

    load : gives other models, which a worker in this process runs

    No model is loaded and nothing opened before the app's lifespan starts.
    """
    SLIDE_READERS.load()  # a plug-in that does not load is named before anything starts
    MODEL_ROLES.load()
    QUALITY_CHECKS.load()
    access = cache(lambda: open_access(settings))
    workload = Workload(settings, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if await run_sync(access().door.prepare):
            _log.info("no key was made yet: callers show the one in the file %s of MITOSIS_STATE", FILE)
        configure_tracing(settings.traces_endpoint)
        async with workload.running():
            yield

    # The documentation pages of FastAPI load scripts from elsewhere; the document itself is served instead.
    app = FastAPI(title="Mitoserve", version=API_VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.services = Services(workload, Pictures(workload), ResultCache(workload), _open_login(settings))
    for resource in _RESOURCES:
        app.include_router(resource.router)
    problems.install(app)
    app.add_middleware(BoundedBodies, idle_s=settings.upload_idle_s)
    app.add_middleware(
        HeadAsGet, own=cache(lambda: {t for t, found in app.openapi()["paths"].items() if "head" in found})
    )
    # The last that is added is the outermost: a browser's preflight is answered before anybody is asked for a key.
    app.add_middleware(Guard, access, requests_at_once=settings.requests_at_once)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=sorted(METHODS),
            allow_headers=["*"],
            allow_private_network=True,  # a page of the internet that is named here may call a server in the lab's network
            expose_headers=_EXPOSED,
        )
    app.add_middleware(Proxies, trusted=settings.trusted_proxies, prefix=settings.root_path)
    app.add_middleware(BoundedHeads)
    app.add_middleware(SafeAnswers, vary_by_origin=bool(settings.cors_origins))
    app.add_middleware(RequestLog)
    app.state.settings = settings
    # FastAPI's documented way to complete its document.
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _open_login(settings: ServerSettings) -> BrowserLogin | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    return BrowserLogin(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_login_scope)


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
        components = app.openapi_schema["components"]
        components["schemas"]["Problem"] = problems.Problem.model_json_schema()
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, or a token of the identity provider.",
            }
        }
        app.openapi_schema["security"] = [{"bearer": []}]
        for path in PUBLIC & app.openapi_schema["paths"].keys():
            app.openapi_schema["paths"][path]["get"]["security"] = []
        app.openapi_schema["paths"][LOGIN]["post"]["security"] = []
    return app.openapi_schema
