"""`/v1/uploads`: resumable uploads by tus 1.0 (https://tus.io/protocols/resumable-upload).

Of its extensions: creation, checksum, expiration and termination.
"""

import contextlib
import hmac

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from serving.api.answers import ARRIVAL_ERRORS
from serving.api.headers import media_type, whole_number
from serving.api.owners import request_owner, visible_owner
from serving.api.problems import MethodError, responses
from serving.api.receiving import check_name, stream
from serving.api.routes import address
from serving.api.services import ServingWorkload
from serving.api.tus import (
    TusRoute,
    make_expiry_header,
    read_checksum,
    read_filename,
    read_upload_length,
    slide_header,
    tus_errors,
    tus_headers,
)
from serving.api.workload import Workload
from serving.core.errors import RequestError, UnsupportedFormatError
from serving.core.words import state_time
from serving.observability import metrics
from serving.store.received_slides import safe_name
from serving.store.resumable import (
    ALGORITHMS,
    ChecksumError,
    OffsetError,
    Upload,
    UploadLockedError,
    UploadPart,
    checksum,
)

EXTENSIONS = "creation,checksum,expiration,termination"
LOCK_S = 5.0
"""A client whose connection was cut comes back before the server has noticed: so long it waits for its old request."""
_CONTENT_TYPE = "application/offset+octet-stream"


class UploadView(BaseModel):
    """One resumable upload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    length: int
    offset: int = Field(description="Bytes that have arrived.")
    expires_at: str = Field(description="UTC, ISO 8601.")
    slide: str | None = Field(description="Id of the slide that it became; null until every byte is there.")


router = APIRouter(tags=["uploads"], route_class=TusRoute)
_ONE = "/v1/uploads/{upload_id}"


@router.options("/v1/uploads", summary="What of tus is spoken", status_code=204, responses=responses())
async def capabilities(workload: ServingWorkload) -> Response:
    """Version, extensions, largest size and checksum algorithms."""
    return Response(
        status_code=204,
        headers={
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(workload.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


@router.post(
    "/v1/uploads",
    summary="Begin an upload",
    status_code=201,
    responses=responses(
        "malformed-request",
        "tus-version",
        "slide-too-large",
        "unsupported-format",
        "busy",
        "quota-exceeded",
        "disk-full",
        "internal-error",
    ),
    openapi_extra=tus_headers("Upload-Length", "Upload-Metadata"),
)
async def create(workload: ServingWorkload, request: Request) -> Response:
    """`Upload-Length` states the size, `Upload-Metadata` the `filename`; Location is where to send it."""
    length = read_upload_length(request, workload.settings.max_upload_bytes)
    metadata = request.headers.get("upload-metadata", "")
    name, owner = safe_name(read_filename(metadata)), request_owner(request)
    check_name(name)
    upload = await run_sync(lambda: workload.uploads.create(owner=owner, name=name, length=length, metadata=metadata))
    return Response(
        status_code=201,
        headers={"Location": address(f"/v1/uploads/{upload.id}"), **make_expiry_header(upload.expires_at)},
    )


@router.head(
    _ONE,
    summary="How much has arrived",
    responses=tus_errors("not-found", "upload-gone", "upload-elsewhere"),
    openapi_extra=tus_headers(),
)
async def offset(workload: ServingWorkload, request: Request, upload_id: str) -> Response:
    """`Upload-Offset` is where to go on. Once complete, `Mitoserve-Slide` is the slide's address."""
    upload = await _settle(workload, request, upload_id)
    headers = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.length)}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(headers=headers | make_expiry_header(upload.expires_at) | slide_header(upload.sha256))


@router.get(
    _ONE,
    summary="One upload",
    response_model=UploadView,
    responses=tus_errors("not-found", "upload-gone", "upload-elsewhere"),
)
async def look(workload: ServingWorkload, request: Request, upload_id: str) -> Response:
    """The same as JSON, with the id of the slide that it became."""
    upload = await _settle(workload, request, upload_id)
    shown = UploadView(
        id=upload.id,
        name=upload.name,
        length=upload.length,
        offset=upload.offset,
        expires_at=state_time(upload.expires_at),
        slide=upload.sha256,
    )
    return JSONResponse(shown.model_dump())


@router.patch(
    _ONE,
    summary="Send the next bytes",
    status_code=204,
    responses=tus_errors(
        *ARRIVAL_ERRORS,
        "not-found",
        "upload-gone",
        "upload-elsewhere",
        "offset-conflict",
        "upload-locked",
        "checksum-mismatch",
    ),
    openapi_extra={
        **tus_headers("Upload-Offset", optional=("Upload-Checksum",)),
        "requestBody": {"content": {_CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def append(workload: ServingWorkload, request: Request, upload_id: str) -> Response:
    """Whatever arrives is kept, also where the connection is cut, but for a part whose `Upload-Checksum` is wrong.

    The answer to the last part comes when the slide was opened and stored; `Mitoserve-Slide` is its address.
    """
    return await _append(workload, request, upload_id)


@router.delete(
    _ONE,
    summary="End an upload",
    status_code=204,
    responses=tus_errors("not-found", "upload-gone", "upload-elsewhere"),
    openapi_extra=tus_headers(),
)
async def end(workload: ServingWorkload, request: Request, upload_id: str) -> Response:
    """Forgets what has arrived. A slide that it became stays."""
    return await _end(workload, request, upload_id)


@router.post(
    _ONE,
    summary="PATCH or DELETE for clients that cannot send them",
    status_code=204,
    responses=tus_errors(
        *ARRIVAL_ERRORS,
        "not-found",
        "method-not-allowed",
        "upload-elsewhere",
        "offset-conflict",
        "checksum-mismatch",
    ),
    openapi_extra=tus_headers("X-HTTP-Method-Override", optional=("Upload-Offset", "Upload-Checksum")),
)
async def override(workload: ServingWorkload, request: Request, upload_id: str) -> Response:
    """`X-HTTP-Method-Override` states the method that is meant."""
    meant = request.headers.get("x-http-method-override", "").upper()
    if meant == "PATCH":
        return await _append(workload, request, upload_id)
    if meant == "DELETE":
        return await _end(workload, request, upload_id)
    raise MethodError("POST is for this address only with X-HTTP-Method-Override: PATCH or DELETE")


async def _append(workload: Workload, request: Request, upload_id: str) -> Response:
    if media_type(request.headers.get("content-type", "")) != _CONTENT_TYPE:
        raise UnsupportedFormatError(f"send the bytes with Content-Type: {_CONTENT_TYPE}")
    expected, owner = read_checksum(request), visible_owner(request)
    upload = await run_sync(lambda: workload.uploads.get(upload_id, owner=owner))
    stated = whole_number(request.headers.get("upload-offset", ""))
    if stated is None:
        raise RequestError("Upload-Offset is missing or no whole number of an upload")
    if upload.complete and stated != upload.length:
        raise OffsetError(f"the upload is complete, at {upload.length}")
    if not upload.sha256:
        await _append_body(workload, request, upload, stated, expected)
    expires_at = await run_sync(workload.uploads.extend, upload)
    upload = await _settle(workload, request, upload_id)
    headers = {"Upload-Offset": str(upload.offset), **make_expiry_header(expires_at), **slide_header(upload.sha256)}
    return Response(status_code=204, headers=headers)


async def _append_body(
    workload: Workload, request: Request, upload: Upload, offset: int, expected: tuple[str, bytes] | None
) -> None:
    """Append the request's body to the upload's file."""
    with contextlib.ExitStack() as stack:
        part = await _enter_upload(stack, workload, upload)
        start = part.offset
        if start != offset:
            raise OffsetError(f"the upload is at {start}, not at {offset}; go on there")
        digest = None if expected is None else checksum(expected[0])

        def write(data: bytes) -> None:
            part.write(data)
            if digest is not None:
                digest.update(data)

        sound = False
        try:
            await stream(request, write, workload.settings)
            sound = digest is None or expected is None or hmac.compare_digest(digest.digest(), expected[1])
            if not sound:
                raise ChecksumError("what arrived is not what Upload-Checksum states; send this part again")
        finally:
            if digest is not None and not sound:
                part.cut(start)
        metrics.count_upload(part.offset - start)
        await run_sync(part.flush)


async def _enter_upload(stack: contextlib.ExitStack, workload: Workload, upload: Upload) -> UploadPart:
    """The upload's file for this request alone; waits a while for the request before."""
    deadline = anyio.current_time() + LOCK_S
    while True:
        try:
            return stack.enter_context(workload.uploads.writing(upload))
        except UploadLockedError:
            if anyio.current_time() > deadline:
                raise
            await anyio.sleep(0.05)


async def _settle(workload: Workload, request: Request, upload_id: str) -> Upload:
    """The upload as it stands; one that is complete has become a slide, also if the server died in between."""
    owner = visible_owner(request)
    upload = await run_sync(lambda: workload.uploads.get(upload_id, owner=owner))
    if not upload.complete or upload.sha256:
        return upload
    with anyio.CancelScope(shield=True):
        stored = await run_sync(lambda: workload.uploads.finish(upload))
        request.state.made = stored.sha256  # for the audit log
    return await run_sync(lambda: workload.uploads.get(upload_id, owner=owner))


async def _end(workload: Workload, request: Request, upload_id: str) -> Response:
    owner = visible_owner(request)
    upload = await run_sync(lambda: workload.uploads.get(upload_id, owner=owner))
    await run_sync(workload.uploads.end, upload)
    return Response(status_code=204)
