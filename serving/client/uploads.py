"""Upload of a slide in pieces, each of which arrives whole or is sent again (tus 1.0), and notes of unfinished ones."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from serving.client.answers import ClientError, ConnectionLostError, RefusedError, RemoteSlide
from serving.client.effects import (
    ATTEMPTS,
    Ask,
    OnProgress,
    Pause,
    ReadFile,
    Steps,
    pause_s,
    reason,
    refusal,
    send_with_retry,
)

PIECE_BYTES = 8 * 2**20
"""What is sent again, at most, when a connection breaks."""

_VERSION = {"Tus-Resumable": "1.0.0"}
_GONE = frozenset({403, 404, 410})
_AGAIN = frozenset({409, 423, 429, 460, 502, 503, 504})
"""Answers after which the offset is asked for and the piece sent again; 460 is a checksum that does not fit."""


def default_notes() -> Path:
    """The folder of this user for such notes (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitoserve" / "uploads"


class Notes:
    """One small file for each unfinished upload, named by a hash: neither slide nor server is named in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_notes()

    def find(self, server: str, slide: Path) -> str | None:
        """Address of the unfinished upload of this very file to this server; None where there is none."""
        try:
            noted: Mapping[str, str] = json.loads(self._note(server, slide).read_text())
            return str(noted["upload"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, server: str, slide: Path, upload: str) -> None:
        """Note that `slide` is on its way to the address `upload`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._note(server, slide).write_text(json.dumps({"upload": upload}))

    def drop(self, server: str, slide: Path) -> None:
        """Forget the upload of `slide`."""
        self._note(server, slide).unlink(missing_ok=True)

    def _note(self, server: str, slide: Path) -> Path:
        found = slide.stat()
        identity = f"{server}\n{slide.resolve()}\n{found.st_size}\n{found.st_mtime_ns}"
        return self._folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"


def upload_slide(
    path: Path, *, server: str, name: str | None, on_progress: OnProgress | None, notes: Notes
) -> Steps[RemoteSlide]:
    """Bring the slide in `path` to the server, going on with an unfinished upload of the same file.

    Raises
    ------
    ClientError
        If the file cannot be read, the server refuses it or cannot be reached.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from error
    offset, address = None, notes.find(server, path)
    if address is not None:
        offset = yield from _offset(address)
    if offset is None or address is None:
        address, offset = (yield from _create(size, name or path.name, server)), 0
        notes.keep(server, path, address)
    failures = 0
    while True:
        if on_progress is not None:
            on_progress(offset, size)
        if offset == size:
            break
        piece = yield from _read(path, offset, min(PIECE_BYTES, size - offset))
        outcome = yield _patch(address, offset, piece)
        if isinstance(outcome, httpx.Response) and outcome.status_code == 204:
            offset, failures = int(outcome.headers["Upload-Offset"]), 0
            continue
        failures += 1
        if isinstance(outcome, httpx.Response) and outcome.status_code not in _AGAIN:
            raise refusal(outcome)
        if failures >= ATTEMPTS:
            raise ConnectionLostError("the upload breaks off again and again; run the same again to go on with it")
        yield Pause(pause_s(outcome, failures - 1), reason(outcome))
        found = yield from _offset(address)
        if found is None:
            raise ClientError("the server gave the upload up; send the slide again")
        offset = found
    notes.drop(server, path)
    return (yield from _slide(address))


def _create(size: int, name: str, server: str) -> Steps[str]:
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {**_VERSION, "Upload-Length": str(size), "Upload-Metadata": metadata}
    answer = yield from send_with_retry(Ask("POST", "/v1/uploads", headers=headers))
    # The path alone: behind a proxy a server may not know its own name, and the key goes to no other.
    location, prefix = urlsplit(answer.headers["Location"]).path, urlsplit(server).path.rstrip("/")
    # Addresses are asked for below the server's, which has the prefix already.
    return location.removeprefix(prefix) if location.startswith(f"{prefix}/") else location


def _offset(address: str) -> Steps[int | None]:
    """How much of the upload the server has; None where it has none of it any more."""
    try:
        answer = yield from send_with_retry(Ask("HEAD", address, headers=_VERSION))
    except RefusedError as error:
        if error.status in _GONE:
            return None
        raise
    return int(answer.headers["Upload-Offset"])


def _patch(address: str, offset: int, piece: bytes) -> Ask:
    headers = {
        **_VERSION,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(piece).digest()).decode()}",
    }
    return Ask("PATCH", address, headers=headers, content=piece)


def _read(path: Path, offset: int, size: int) -> Steps[bytes]:
    piece = yield ReadFile(path, offset, size)
    if not isinstance(piece, bytes) or len(piece) != size:
        raise ClientError(f"{path} became shorter while it was sent")
    return piece


def _slide(address: str) -> Steps[RemoteSlide]:
    upload = yield from send_with_retry(Ask("GET", address))
    answer = yield from send_with_retry(Ask("GET", f"/v1/slides/{upload.json()['slide']}"))
    document = answer.json()
    return RemoteSlide(str(document["id"]), str(document["name"]), document)
