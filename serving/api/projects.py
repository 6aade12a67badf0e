"""`/v1/me` and `/v1/projects`: who asks, and the projects that several people share."""

from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.access.principal import SCOPES, ForbiddenError, Principal, Scope
from serving.access.projects import ProjectStore, Role, includes
from serving.api.owners import request_principal
from serving.api.problems import responses
from serving.api.routes import address
from serving.api.services import ServingWorkload
from serving.core.words import state_time
from serving.jobs.moving import move_slides

_MAX_SLIDES = 500
_NAME = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
"""Something to read, and no control characters."""
_PRINCIPAL = r"^(local|key:[0-9a-f]{1,32}|oidc:[\x20-\x7e]{1,255})$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectView(_Part):
    """A project, and your role in it."""

    id: str
    name: str
    created_at: str = Field(description="UTC, ISO 8601.")
    role: Role


class MemberView(_Part):
    """Who may act as a project."""

    principal: str = Field(description="`id` of /v1/me.")
    role: Role
    added_at: str = Field(description="UTC, ISO 8601.")


class ProjectPage(ProjectView):
    """A project with its members."""

    members: list[MemberView]


class ProjectList(_Part):
    """Your projects, by name."""

    projects: list[ProjectView]


class MeView(_Part):
    """Who asks."""

    id: str = Field(description="What a project's manager adds you by.")
    name: str = Field(description="Of the key, or as the identity provider states it; empty where nobody does.")
    shown: Literal["key", "token", "machine"] = Field(description="What was shown; `machine`: the key of this machine.")
    scopes: list[Scope] = Field(description="What you may do, those that are included, too.")
    projects: list[ProjectView]
    project: ProjectView | None = Field(description="Which you act as: header Mitoserve-Project.")


class ProjectRequest(_Part):
    """A new project."""

    name: str = Field(min_length=1, max_length=200, pattern=_NAME)


class MemberRequest(_Part):
    """What a member may do."""

    role: Role


class SlidesRequest(_Part):
    """Slides that a project gets."""

    slides: list[str] = Field(min_length=1, max_length=_MAX_SLIDES, description="Ids of slides of your own.")


class SlidesMoved(_Part):
    """Slides that the project has now."""

    slides: list[str]


router = APIRouter(tags=["projects"])


@router.get("/v1/me", summary="Who am I?", responses=responses("busy"))
async def me(workload: ServingWorkload, request: Request) -> MeView:
    """Who the server takes you for, what you may do, and your projects."""
    principal = request_principal(request)
    found = await run_sync(lambda: _list(workload, principal))
    acting = getattr(request.state, "project", None)
    kind = principal.id.partition(":")[0]
    return MeView(
        id=principal.id,
        name=principal.name,
        shown="key" if kind == "key" else "token" if kind == "oidc" else "machine",
        scopes=[scope for scope in SCOPES if principal.may(scope)],
        projects=found,
        project=next((project for project in found if project.id == acting), None),
    )


@router.get("/v1/projects", summary="Your projects", responses=responses("busy"))
async def projects(workload: ServingWorkload, request: Request) -> ProjectList:
    """Those that you may act as; of administrators, all."""
    principal = request_principal(request)
    return ProjectList(projects=await run_sync(lambda: _list(workload, principal)))


@router.post(
    "/v1/projects",
    summary="Make a project",
    status_code=201,
    response_model=ProjectView,
    responses=responses("malformed-request", "busy"),
)
async def create(workload: ServingWorkload, request: Request, wanted: ProjectRequest) -> Response:
    """You are its manager."""
    principal = request_principal(request)
    made = await run_sync(lambda: ProjectStore(workload.database).create(wanted.name.strip(), principal.id))
    view = ProjectView(id=made.id, name=made.name, created_at=state_time(made.created_at), role="manager")
    return JSONResponse(view.model_dump(), 201, {"Location": address(f"/v1/projects/{made.id}")})


@router.get("/v1/projects/{project_id}", summary="A project", responses=responses("not-found", "busy"))
async def read(workload: ServingWorkload, request: Request, project_id: str) -> ProjectPage:
    """With its members."""
    principal = request_principal(request)

    def look() -> ProjectPage:
        role = _require_role(workload, principal, project_id, "reader")
        return _page(workload, project_id, role)

    return await run_sync(look)


@router.put(
    "/v1/projects/{project_id}/members/{principal}",
    summary="Add a member, or change a role",
    responses=responses("malformed-request", "forbidden", "not-found", "busy"),
)
async def put_member(
    workload: ServingWorkload,
    request: Request,
    project_id: str,
    principal: Annotated[str, Path(pattern=_PRINCIPAL, max_length=300, description="`id` that /v1/me gives them.")],
    wanted: MemberRequest,
) -> ProjectPage:
    """They may act as the project from now on, as far as their key or token allows."""
    you = request_principal(request)

    def put() -> ProjectPage:
        role = _require_role(workload, you, project_id, "manager")
        ProjectStore(workload.database).set_member(project_id, principal, wanted.role, by=you.id)
        return _page(workload, project_id, role)

    return await run_sync(put)


@router.delete(
    "/v1/projects/{project_id}/members/{principal}",
    summary="Remove a member",
    status_code=204,
    responses=responses("malformed-request", "forbidden", "not-found", "busy"),
)
async def remove_member(
    workload: ServingWorkload,
    request: Request,
    project_id: str,
    principal: Annotated[str, Path(max_length=300, description="`id` that /v1/me gives them; your own to leave.")],
) -> Response:
    """What they said of results stays."""
    you = request_principal(request)

    def remove() -> None:
        _require_role(workload, you, project_id, "reader" if principal == you.id else "manager")
        ProjectStore(workload.database).remove_member(project_id, principal)

    await run_sync(remove)
    return Response(status_code=204)


@router.post(
    "/v1/projects/{project_id}/slides",
    summary="Give slides to a project",
    responses=responses("malformed-request", "forbidden", "not-found", "slide-in-use", "quota-exceeded", "busy"),
)
async def move(workload: ServingWorkload, request: Request, project_id: str, wanted: SlidesRequest) -> SlidesMoved:
    """Slides of your own, with their analyses and reviews, are the project's from now on: all of them or none."""
    you = request_principal(request)

    def give() -> list[str]:
        _require_role(workload, you, project_id, "manager")
        project = ProjectStore(workload.database).get(project_id)
        return move_slides(workload.database, workload.settings, wanted.slides, owner=you.id, to=project.owner)

    return SlidesMoved(slides=await run_sync(give))


def _list(workload: ServingWorkload, principal: Principal) -> list[ProjectView]:
    whose = None if principal.may("admin") else principal.id
    found = ProjectStore(workload.database).list(whose)
    return [ProjectView(id=p.id, name=p.name, created_at=state_time(p.created_at), role=role) for p, role in found]


def _page(workload: ServingWorkload, project_id: str, role: Role) -> ProjectPage:
    store = ProjectStore(workload.database)
    project = store.get(project_id)
    members = [
        MemberView(principal=m.principal, role=m.role, added_at=state_time(m.added_at))
        for m in store.members(project_id)
    ]
    return ProjectPage(
        id=project.id, name=project.name, created_at=state_time(project.created_at), role=role, members=members
    )


def _require_role(workload: ServingWorkload, principal: Principal, project_id: str, wanted: Role) -> Role:
    """The principal's role in a project; raises `NoSuchProjectError` or, where it is too little, `ForbiddenError`."""
    role = ProjectStore(workload.database).find_role(project_id, principal.id, administrator=principal.may("admin"))
    if not includes(role, wanted):
        raise ForbiddenError(f"this takes the role {wanted!r} in the project; ask one of its managers")
    return role
