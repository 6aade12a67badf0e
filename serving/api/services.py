"""What routes are given of the running server, which the app holds: a parameter of one of these types is enough."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.access.login import BrowserLogin
from serving.api.pictures import Pictures
from serving.api.results import ResultCache
from serving.api.workload import Workload
from serving.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Services:
    """What one app shares among its requests."""

    workload: Workload
    pictures: Pictures
    results: ResultCache
    login: BrowserLogin | None
    """None where people show keys alone."""


def find_services(request: Request) -> Services:
    """The services of the app that answers a request."""
    services: Services = request.app.state.services
    return services


# Each is a coroutine: FastAPI would run a function in a thread, of which there are only so many.
async def find_workload(request: Request) -> Workload:
    """The stores, the table of analyses, and those who work on it."""
    return find_services(request).workload


async def find_pictures(request: Request) -> Pictures:
    """What answers for pictures of slides."""
    return find_services(request).pictures


async def find_results(request: Request) -> ResultCache:
    """The results of analyses that have ended."""
    return find_services(request).results


async def find_settings(request: Request) -> ServerSettings:
    """How the operator has set the server."""
    return find_services(request).workload.settings


async def find_login(request: Request) -> BrowserLogin | None:
    """How people log in by an identity provider."""
    return find_services(request).login


ServingLogin = Annotated[BrowserLogin | None, Depends(find_login)]
ServingWorkload = Annotated[Workload, Depends(find_workload)]
ServingPictures = Annotated[Pictures, Depends(find_pictures)]
ServingResults = Annotated[ResultCache, Depends(find_results)]
ServingSettings = Annotated[ServerSettings, Depends(find_settings)]
