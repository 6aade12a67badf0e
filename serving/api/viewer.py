"""`/`: the web viewer's pages. They are the same for everybody and hold nothing of slides; what they ask for is guarded."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.answers import BINARY
from serving.api.headers import join_field_lines
from serving.api.problems import NoSuchPageError, responses
from serving.api.routes import address
from serving.api.services import ServingSettings
from serving.settings import ServerSettings

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
INDEX = "index.html"
_LINKS = re.compile(rb'\b(?:href|src)="/')
"""Addresses of this server in the pages."""
_EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""Hash of no bytes: OpenSeadragon adds a style unless the page has one of that name, which is empty here."""


@dataclass(frozen=True, slots=True)
class ViewerFile:
    """A file of the viewer."""

    content: bytes
    media_type: str
    tag: str


router = APIRouter(tags=["viewers"])
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked again each time, and answered with 304
}

_STATED = {
    "response_class": Response,
    "responses": {200: {"description": "A page", "content": {"text/html": BINARY}}, **responses("not-found")},
}


@router.get("/", summary="Web viewer", **_STATED)  # type: ignore[arg-type]  # the table's values differ in type
async def start(settings: ServingSettings, request: Request) -> Response:
    """Slides and analyses for people."""
    return _answer(settings, request, INDEX)


@router.get("/v1/analyses/{analysis_id}/view", summary="Web viewer of an analysis", **_STATED)  # type: ignore[arg-type]
async def view(settings: ServingSettings, request: Request, analysis_id: str) -> Response:
    """The viewer, which shows the analysis that its address names to whoever may see it."""
    return _answer(settings, request, INDEX)


@router.get("/viewer/{page:path}", summary="The viewer's files", **_STATED)  # type: ignore[arg-type]
async def file(settings: ServingSettings, request: Request, page: str) -> Response:
    """Scripts and styles."""
    return _answer(settings, request, page)


def _answer(settings: ServerSettings, request: Request, name: str) -> Response:
    page = pages().get(name)
    if page is None:
        raise NoSuchPageError("the viewer has no such file")
    content, tag = page.content, page.tag
    if page.media_type.startswith("text/html"):  # scripts find the prefix by their own address
        content = _LINKS.sub(lambda found: found[0][:-1] + address("/").encode(), content)
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    own = {"Content-Security-Policy": content_policy(settings.cors_origins), **_HEADERS, "ETag": tag}
    if tag in join_field_lines(request, "if-none-match"):
        return Response(status_code=304, headers=own)
    return Response(content, media_type=page.media_type, headers=own)


def content_policy(origins: tuple[str, ...]) -> str:
    """What the pages may load, and which sites may show them in a frame.

    origins : web origins whose pages may call this server; they may frame it too
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' {_EMPTY}",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "frame-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            " ".join(("frame-ancestors", "'self'", *origins)),
        )
    )


@cache
def pages() -> dict[str, ViewerFile]:
    """Every file of the viewer by its name below the package; no name that a caller writes becomes a path."""
    return dict(_find_files(resources.files("serving.viewer"), ""))


def _find_files(folder: Traversable, prefix: str) -> list[tuple[str, ViewerFile]]:
    found = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        suffix = entry.name.rsplit(".", 1)[-1]
        if entry.is_dir():
            found += _find_files(entry, f"{name}/")
        elif suffix in _TYPES:
            content = entry.read_bytes()
            found.append((name, ViewerFile(content, _TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')))
    return found
