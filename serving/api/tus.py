"""What tus 1.0 says in headers (https://tus.io/protocols/resumable-upload), read, checked and written."""

import base64
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from serving.api import problems
from serving.api.bodies import too_large
from serving.api.headers import whole_number
from serving.api.problems import responses
from serving.api.routes import address
from serving.core.errors import MitoserveError, RequestError
from serving.store.resumable import ALGORITHMS, checksum

VERSION = "1.0.0"
_MAX_METADATA = 4000


class TusVersionError(MitoserveError):
    """The client speaks another version of the protocol, or does not say which."""

    slug = "tus-version"


class TusRoute(APIRoute):
    """Checks the protocol's version, and states it in every answer, errors too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler between both."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                spoken = request.headers.get("tus-resumable")
                if request.method not in ("OPTIONS", "GET") and spoken != VERSION:
                    raise TusVersionError(f"Tus-Resumable is {(spoken or 'missing')[:40]!r}; {VERSION} is spoken here")
                answer = await handle(request)
            except Exception as error:
                answer = await problems.answer(request, error)
            answer.headers["Tus-Resumable"] = VERSION
            answer.headers["Tus-Version"] = VERSION
            answer.headers["Cache-Control"] = "no-store"
            return answer

        return handler


def read_upload_length(request: Request, max_bytes: int) -> int:
    """The `Upload-Length`; raises `RequestError` or `SlideTooLargeError`."""
    stated = request.headers.get("upload-length", "")
    if not (stated.isascii() and stated.isdecimal()) or not stated.strip("0"):
        raise RequestError("Upload-Length is missing, zero or no whole number; the size must be known at the start")
    length = whole_number(stated)
    if length is None or length > max_bytes:
        raise too_large(max_bytes)
    return length


def read_filename(metadata: str) -> str:
    """The value of `filename` or `name` in an `Upload-Metadata` header."""
    if len(metadata) > _MAX_METADATA:
        raise RequestError("Upload-Metadata is too long; it needs the filename alone")
    values = {}
    for pair in metadata.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            values[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError as error:  # also of what is no base64, no ASCII or no UTF-8
            raise RequestError("Upload-Metadata is no list of keys and base64 values") from error
    name = values.get("filename") or values.get("name")
    if not name:
        raise RequestError("Upload-Metadata states no filename; the slide needs one, with its suffix")
    return name


def read_checksum(request: Request) -> tuple[str, bytes] | None:
    """Algorithm and digest of `Upload-Checksum`, if there is one; raises `RequestError`."""
    header = request.headers.get("upload-checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except ValueError as error:
        raise RequestError("Upload-Checksum is no algorithm and base64 value") from error
    if algorithm not in ALGORITHMS or len(digest) != checksum(algorithm).digest_size:
        raise RequestError(f"Upload-Checksum is none of {', '.join(ALGORITHMS)}")
    return algorithm, digest


def make_expiry_header(at: float) -> dict[str, str]:
    """The header that states when the upload is given up."""
    return {"Upload-Expires": formatdate(at, usegmt=True)}


def slide_header(sha256: str | None) -> dict[str, str]:
    """The header that states the slide's address, once there is one."""
    return {} if sha256 is None else {"Mitoserve-Slide": address(f"/v1/slides/{sha256}")}


def tus_errors(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that may end in these kinds of errors, or in those of every route here."""
    return responses(*slugs, "tus-version", "busy")


def tus_headers(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The OpenAPI parameters of headers that tus defines, its version among them."""
    names = {**dict.fromkeys(("Tus-Resumable", *required), True), **dict.fromkeys(optional, False)}
    parameters = [
        {"name": name, "in": "header", "required": must, "description": _HEADERS[name], "schema": {"type": "string"}}
        for name, must in names.items()
    ]
    return {"parameters": parameters}


_HEADERS = {
    "Tus-Resumable": f"{VERSION}",
    "Upload-Length": "Bytes of the whole slide.",
    "Upload-Metadata": "`filename` and its value in base64; other pairs are kept and given back.",
    "Upload-Offset": "Bytes that the server has: where these go on.",
    "Upload-Checksum": "Algorithm and base64 value of the checksum of this part.",
    "X-HTTP-Method-Override": "PATCH or DELETE.",
}
