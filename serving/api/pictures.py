"""Pictures of parts of slides: read through the decoders, encoded, kept, and answered with what caches need to know."""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.api.headers import join_field_lines
from serving.api.owners import visible_owner
from serving.api.workload import Workload
from serving.isolation.slide import IsolatedSlide
from serving.store.slide_rows import StoredSlide

MAX_BYTES = 128 * 2**20
"""Two thousand tiles of 64 KB: what a few people look at in a few minutes."""


class PictureCache:
    """Bytes by key; what was not asked for longest goes first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0

    def get(self, key: Hashable) -> bytes | None:
        """The picture; None where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, content: bytes) -> None:
        """Keep a picture; one that is larger than all together may be is not kept."""
        if len(content) > self._max_bytes:
            return
        with self._lock:
            self.size += len(content) - len(self._kept.pop(key, b""))
            self._kept[key] = content
            while self.size > self._max_bytes:
                self.size -= len(self._kept.popitem(last=False)[1])


READS = 4
"""Pictures made side by side; the rest wait here and not in the threads that all requests share."""
MAX_AGE_S = 86400
"""A slide's id is the hash of its bytes, so its pictures never change; a browser forgets them after a day."""
_QUALITY = 85

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """One picture of a slide.

    name : says which, among all pictures of the slide
    read : gives its pixels, uint8, shape (height, width, 3) or (height, width)
    """

    name: str
    read: Callable[[IsolatedSlide], Pixels]
    format: str = "JPEG"


class Pictures:
    """Answers requests for pictures of slides."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._cache = PictureCache()
        self._reads = anyio.CapacityLimiter(READS)

    async def slide(self, request: Request, slide_id: str) -> StoredSlide:
        """The slide, if it is there for whoever asks; raises `NotFoundError` if not."""
        owner = visible_owner(request)
        return await run_sync(lambda: self._workload.store.get(slide_id, owner=owner))

    async def answer(self, request: Request, slide: StoredSlide, picture: PictureRequest) -> Response:
        """The picture of a slide that `slide` gave; 304 where the client has it.

        Raises
        ------
        MitoserveError
            If the slide cannot be read there.
        """
        key = f"{slide.sha256}/{picture.name}"
        tag = f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": f"private, max-age={MAX_AGE_S}, immutable"}
        if tag in join_field_lines(request, "if-none-match"):
            return Response(status_code=304, headers=headers)
        content = self._cache.get(key)
        if content is None:
            content = await self._make(request, slide, picture)
            self._cache.put(key, content)
        return Response(content, media_type=f"image/{picture.format.lower()}", headers=headers)

    async def _make(self, request: Request, slide: StoredSlide, picture: PictureRequest) -> bytes:
        async with self._reads:
            # Whoever zooms on leaves many tiles behind that were asked for and are of no use any more.
            if await request.is_disconnected():
                raise ClientDisconnect
            return await run_sync(self._encode, slide, picture)

    def _encode(self, slide: StoredSlide, picture: PictureRequest) -> bytes:
        with self._workload.open_slides.using(slide.sha256) as opened:
            pixels = picture.read(opened)
        buffer = io.BytesIO()
        options = {"quality": _QUALITY} if picture.format == "JPEG" else {}
        Image.fromarray(pixels).save(buffer, picture.format, **options)
        return buffer.getvalue()
