"""`/v1/registry`: the versions of models, and which of them serve. For administrators."""

from pathlib import Path
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi import Path as Number
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, Response

from serving.api.answers import BINARY
from serving.api.owners import request_author
from serving.api.problems import responses
from serving.api.receiving import receive_slide
from serving.api.routes import address
from serving.api.services import ServingWorkload
from serving.core.modelcard import ModelCard
from serving.core.words import RESEARCH_USE, state_time
from serving.jobs.worker_registry import RegisteredWorker
from serving.registry.model_store import CARD
from serving.registry.registry import ListedVersion
from serving.registry.releases import Release, State
from serving.registry.version import VersionId
from serving.registry.version_check import VersionCheck
from serving.store.archives import extract
from serving.store.errors import ArchiveError

Label = Annotated[str, Field(max_length=200, examples=["det@1.1.0"])]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VersionView(_Part):
    """One version of a model."""

    name: str
    version: str
    serves: bool
    retired: bool
    fault: str = Field(description="Why its card cannot be read; empty where it can.")
    card: ModelCard | None


class Versions(_Part):
    """Every version, by name, the newest of each first."""

    versions: list[VersionView]
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


class CheckView(_Part):
    """What was found of a version that may serve on this machine."""

    name: str
    version: str
    provider: str = Field(description="Execution provider of ONNX Runtime.")
    opset: int
    signer: str | None = Field(description="File of the public key that its card was signed with.")
    parity: dict[str, float] = Field(description="Largest difference from its sample, by output.")
    window_s: float = Field(description="Seconds a window; on a CPU, of all cores together.")


class Wanted(_Part):
    """The cascade that should serve."""

    models: list[Label] = Field(
        min_length=1, max_length=10, description="A version of each model, such as det@1.1.0, or one number of all."
    )
    force: bool = Field(False, description="Do not ask its gates; `because` says why, and the audit log keeps it.")
    because: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def _fits(self) -> "Wanted":
        if self.force != bool(self.because.strip()):
            raise ValueError("force and because go together: say why the gates shall not be asked")
        return self


class ReleaseView(_Part):
    """One version of each model: wanted, until a worker has tried it; then promoted or refused."""

    number: int
    models: list[str]
    state: State
    detail: str = Field(description="Why it was refused, or what was not measured before it served.")
    created_at: str = Field(description="UTC, ISO 8601.")
    actor: str
    replaces: int | None = Field(description="The release that a rollback goes back to.")
    because: str | None = Field(description="Why its gates were not asked; null where they were, if there are any.")


class WorkerView(_Part):
    """What scores."""

    id: str
    state: str = Field(description="loading, ready or failed.")
    models: list[str]
    detail: str = Field(description="Why it could not load what should serve.")


class Releases(_Part):
    """The latest releases, the newest first, and what the workers run."""

    releases: list[ReleaseView]
    workers: list[WorkerView]


router = APIRouter(prefix="/v1/registry", tags=["models"])


@router.get("/versions", summary="List versions", responses=responses("model-unavailable", "busy"))
async def versions(workload: ServingWorkload) -> Versions:
    """Every version with its card, and whether it serves."""
    return Versions(versions=[_version(row) for row in await run_sync(workload.registry.versions)])


@router.post(
    "/versions",
    summary="Add a version",
    status_code=201,
    response_model=ModelCard,
    responses=responses(
        "malformed-request", "empty-upload", "bad-archive", "slide-too-large", "model-refused", "model-conflict",
        "model-unavailable", "upload-stalled", "disk-full", "busy",
    ),
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": BINARY}}},
)  # fmt: skip
async def add(workload: ServingWorkload, request: Request) -> Response:
    """The body is a zip or tar of a version's files: card.json, model.onnx, parity.npz.

    It is checked on this machine and kept; what serves stays as it is.
    """
    settings = workload.settings
    async with receive_slide(request, workload, filename="version.zip") as received:

        def keep() -> tuple[VersionId, ModelCard]:
            folder = received.path.parent / "version"
            extract(received.path, folder, max_bytes=settings.max_upload_bytes)
            version = workload.registry.add(_version_folder(folder))
            return version, workload.registry.find(version.name, version.version)[1]

        version, card = await run_sync(keep)
    location = address(f"/v1/registry/versions/{version.name}/{version.version}")
    return JSONResponse(card.model_dump(mode="json"), 201, {"Location": location})


@router.get(
    "/versions/{name}/{version}",
    summary="One version's card",
    responses=responses("malformed-request", "not-found", "model-unavailable", "busy"),
)
async def show(workload: ServingWorkload, name: str, version: str) -> ModelCard:
    """What it is, its thresholds, what was measured, its limits."""
    return (await run_sync(lambda: workload.registry.find_labelled(f"{name}@{version}")))[1]


@router.post(
    "/versions/{name}/{version}/check",
    summary="Check a version on this machine",
    responses=responses("malformed-request", "not-found", "model-refused", "model-unavailable", "busy"),
)
async def check(workload: ServingWorkload, name: str, version: str) -> CheckView:
    """Hashes, signature, opset, contract, parity and speed; the answer may take minutes."""

    def found() -> VersionCheck:
        chosen, _ = workload.registry.find_labelled(f"{name}@{version}")
        return workload.registry.check([chosen], again=True)[0]

    return CheckView.model_validate(await run_sync(found), from_attributes=True)


@router.post(
    "/versions/{name}/{version}/retire",
    summary="Retire a version",
    status_code=204,
    responses=responses("malformed-request", "not-found", "model-conflict", "model-unavailable", "busy"),
)
async def retire(workload: ServingWorkload, name: str, version: str) -> Response:
    """It never serves again; its files stay. Refused while it serves."""
    await run_sync(lambda: workload.registry.retire(f"{name}@{version}"))
    return Response(status_code=204)


@router.get("/releases", summary="List releases", responses=responses("busy"))
async def releases(workload: ServingWorkload) -> Releases:
    """What served when and why some were refused; and what each worker runs now."""
    found = await run_sync(workload.registry.releases.latest)
    members = await run_sync(workload.worker_registry.members)
    return Releases(releases=[_release(r) for r in found], workers=[_worker(m) for m in members])


@router.get("/releases/{number}", summary="One release", responses=responses("malformed-request", "not-found", "busy"))
async def release(workload: ServingWorkload, number: Annotated[int, Number(ge=1, le=2**62)]) -> ReleaseView:
    """Whether it waits, was promoted, or was refused and why."""
    return _release(await run_sync(lambda: workload.registry.releases.get(number)))


@router.post(
    "/releases",
    summary="Promote a cascade",
    status_code=202,
    response_model=ReleaseView,
    responses=responses(
        "malformed-request", "not-found", "model-conflict", "model-refused", "model-unavailable", "busy"
    ),
)
async def promote(workload: ServingWorkload, request: Request, wanted: Wanted) -> Response:
    """The workers check and load it beside what serves, then run new analyses on it; ask at Location how that went.

    Where there is a golden set, its gates are asked before.
    """
    actor, because = request_author(request), wanted.because.strip() if wanted.force else None
    request.state.reason = because or ""
    return _accept(await run_sync(lambda: workload.registry.want(wanted.models, actor, because=because)))


@router.post(
    "/rollback",
    summary="Go back to the release before",
    status_code=202,
    response_model=ReleaseView,
    responses=responses("model-conflict", "model-unavailable", "busy"),
)
async def rollback(workload: ServingWorkload, request: Request) -> Response:
    """As a promotion of what the present release replaced; a second time goes back one more."""
    actor = request_author(request)
    return _accept(await run_sync(lambda: workload.registry.releases.back(actor)))


def _version_folder(folder: Path) -> Path:
    """The one folder below `folder`, or itself, that holds a card."""
    found = sorted(path.parent for path in folder.rglob(CARD))
    if len(found) != 1:
        raise ArchiveError(f"the archive holds {len(found)} files {CARD}; pack the folder of one version")
    return found[0]


def _accept(release: Release) -> Response:
    location = address(f"/v1/registry/releases/{release.number}")
    return JSONResponse(_release(release).model_dump(mode="json"), 202, {"Location": location})


def _release(release: Release) -> ReleaseView:
    return ReleaseView(
        number=release.number,
        models=[model.label for model in release.models],
        state=release.state,
        detail=release.detail,
        created_at=state_time(release.at),
        actor=release.actor,
        replaces=release.replaces,
        because=release.because,
    )


def _version(row: ListedVersion) -> VersionView:
    return VersionView.model_validate(row, from_attributes=True)


def _worker(member: RegisteredWorker) -> WorkerView:
    models = [f"{card.name}@{card.version}" for card in member.cards]
    return WorkerView(id=member.id, state=member.state, models=models, detail=member.detail)
