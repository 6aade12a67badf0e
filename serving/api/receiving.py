"""A slide on its way in: streamed to a private folder, hashed and checked; what is not taken over goes with the request."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request

from serving.api.bodies import open_body, too_large
from serving.api.headers import join_field_lines, whole_number
from serving.api.owners import request_owner
from serving.api.problems import StalledError
from serving.api.workload import Workload
from serving.core.errors import EmptyUploadError, UnsupportedFormatError
from serving.observability import metrics
from serving.settings import ServerSettings
from serving.slides.readers.reader import SLIDE_READERS
from serving.store.received_slides import find_suffix, safe_name

_WRITE_BYTES = 2**20
"""Network chunks are gathered to this size, so that 2 GiB cost 2,000 hops to a thread, not 32,000."""
_FORM_BYTES = 2**16
"""A form's boundaries and headers, and whatever a client puts before and behind them."""


@dataclass(frozen=True, slots=True)
class Received:
    """A slide that arrived whole."""

    path: Path
    name: str
    """The client's file name without folders, for people to read; never part of a path."""
    sha256: str


@asynccontextmanager
async def receive_slide(request: Request, workload: Workload, *, filename: str | None) -> AsyncIterator[Received]:
    """The slide in the body of `request`, in a folder of its own that is removed on leaving.

    Raises
    ------
    RequestError, EmptyUploadError, SlideTooLargeError, UnsupportedFormatError, StalledError
        If the body is malformed, empty, too large, of a kind that cannot be uploaded, or stops arriving.
    ClientDisconnect
        If the client goes away.
    """
    settings, owner = workload.settings, request_owner(request)
    length = _check_content_length(request, settings)
    left = await run_sync(workload.store.bytes_left, owner, max(length - _FORM_BYTES, 0))
    payer = await run_sync(workload.store.payer, owner)
    await run_sync(workload.store.check_room, length)
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=workload.spool))
    try:
        part = folder / "slide.part"
        body = open_body(
            part,
            max_bytes=settings.max_upload_bytes,
            content_type=request.headers.get("content-type", ""),
            disposition=request.headers.get("content-disposition"),
            filename=filename,
        )
        try:
            with workload.arriving.counting(payer, None if left is None else left + _FORM_BYTES) as counted:
                await stream(request, counted(body.write), settings)
            name = safe_name(body.finish())
        finally:
            body.close()
        if body.size == 0:
            raise EmptyUploadError("the upload holds no bytes; check the file that was sent")
        check_name(name)
        metrics.count_upload(body.size)
        yield Received(part, name, body.sha256)
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(shutil.rmtree, folder, True)


def _check_content_length(request: Request, settings: ServerSettings) -> int:
    """Bytes that the headers state, else 0; refuses before a byte is read what they already rule out."""
    coding = join_field_lines(request, "content-encoding") or "identity"
    if {part.strip() for part in coding.lower().split(",")} != {"identity"}:
        raise UnsupportedFormatError(f"the body has Content-Encoding {coding[:40]!r}; send the slide as it is")
    length = whole_number(request.headers.get("content-length", "")) or 0
    if length > settings.max_upload_bytes + _FORM_BYTES:
        raise too_large(settings.max_upload_bytes)
    return length


def check_name(name: str) -> None:
    """Refuse the main file of a slide of several files before its bytes arrive: alone it has no pixels."""
    if name.lower().endswith(SLIDE_READERS.parted_suffixes()):
        suffix = find_suffix(name)
        raise UnsupportedFormatError(
            f"a {suffix} file alone holds no pixels, they are in files of their own beside it; "
            f"pack all of them: zip -r slide.zip SLIDE{suffix} SLIDE"
        )


async def stream(request: Request, write: Callable[[bytes], None], settings: ServerSettings) -> None:
    """Feed the request's chunks to `write` in a thread, so that a slow disk never stops the event loop.

    Where the client goes away or stalls, what had arrived is written before `ClientDisconnect` or `StalledError` is raised.
    """
    chunks = request.stream()
    pending, received = bytearray(), 0
    while True:
        try:
            chunk = await anext(chunks, None)
        except (ClientDisconnect, StalledError):
            if pending:
                await run_sync(write, bytes(pending))
            raise
        received += len(chunk or b"")
        if received > settings.max_upload_bytes + _FORM_BYTES:
            raise too_large(settings.max_upload_bytes)
        pending += chunk or b""
        if len(pending) >= _WRITE_BYTES or (chunk is None and pending):
            await run_sync(write, bytes(pending))
            pending.clear()
        if chunk is None:
            return
