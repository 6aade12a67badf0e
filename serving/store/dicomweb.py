"""The client of archives that speak DICOMweb: series are fetched by WADO-RS (DICOM PS3.18), for servers and cohorts alike.

Instances are written to disk as they arrive: one level of a slide is gigabytes, and clients that give data sets hold them
in memory.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.core.errors import SlideTooLargeError
from serving.slides.slidefiles import MAX_ENTRIES
from serving.store.errors import MissingSlideError, UnavailableError

SCHEME = "dicomweb+"
"""Before the http:// or https:// of a service's or series' address."""
TIMEOUT_S = 60.0
"""Without a byte; archives fetch from tape before they answer."""
LEAST_BYTES = 2**14
"""That arrive in `TIMEOUT_S`, or the archive is given up: drops would hold a thread for ever."""
_GONE = (404, 410)


@dataclass(frozen=True, slots=True)
class Credential:
    """A bearer token, and the archives that it is for: a manifest may name any address, and must not get it there."""

    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    """Each a host, or a host:port."""

    def is_for(self, address: httpx.URL) -> bool:
        """Whether the token is shown there: to a named host, by TLS or on this machine."""
        local = address.host in ("localhost", "127.0.0.1", "::1")
        port = address.port or {"https": 443, "http": 80}.get(address.scheme)
        named = {name.lower() for name in self.hosts} & {address.host.lower(), f"{address.host.lower()}:{port}"}
        return bool(self.token and named) and (address.scheme == "https" or local)


NO_CREDENTIAL = Credential()


def is_dicomweb(source: str) -> bool:
    """Whether a source lies in a DICOMweb archive."""
    return source.startswith((f"{SCHEME}http://", f"{SCHEME}https://"))


def fetch_series(source: str, folder: Path, *, max_bytes: int, credential: Credential = NO_CREDENTIAL) -> None:
    """Write every instance of a series into `folder`, named by its content: servers send them in any order.

    Raises
    ------
    MissingSlideError, UnavailableError
        If there is no such series, or the service does not answer as it should or breaks off.
    SlideTooLargeError
        If the series has more than `max_bytes` bytes.
    """
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    address = source.removeprefix(SCHEME)
    with (
        open_archive(credential, httpx.URL(address)) as client,
        name_errors(source),
        client.stream("GET", address, headers={"Accept": accept}) as answer,
    ):
        if answer.status_code in _GONE or answer.status_code == httpx.codes.NO_CONTENT:
            raise MissingSlideError(f"there is no series {source}")
        answer.raise_for_status()
        kind, options = parse_options_header(answer.headers.get("content-type"))
        if kind != b"multipart/related" or b"boundary" not in options:
            raise UnavailableError(f"{source} is answered with {kind.decode()!r}; WADO-RS sends multipart/related")
        parts = _Parts(folder, max_bytes, source)
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        window, arrived = time.monotonic(), 0
        for block in answer.iter_bytes():
            parser.write(block)
            arrived += len(block)
            if time.monotonic() - window > TIMEOUT_S:
                if arrived < LEAST_BYTES:
                    raise UnavailableError(f"{source} sends hardly anything")
                window, arrived = time.monotonic(), 0
    if not parts.ended:
        raise UnavailableError(f"{source} broke off after {parts.size} bytes")
    if not parts.count:
        raise MissingSlideError(f"the series {source} has no instances")


class _Parts:
    """Writes each part of a multipart message to a file of its own."""

    def __init__(self, folder: Path, max_bytes: int, source: str) -> None:
        self._folder, self._max_bytes, self._source = folder, max_bytes, source
        self._part = folder / ".part"
        self.size = self.count = 0
        self.ended = False

    def callbacks(self) -> Any:
        """As `MultipartParser` takes them."""
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if self.count >= MAX_ENTRIES:
            raise SlideTooLargeError(f"{self._source} has more than {MAX_ENTRIES} instances, and slides have hundreds")
        self._file, self._hash = self._part.open("wb"), hashlib.sha256()

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.size += end - start
        check_bytes(self.size, self._max_bytes, self._source)
        self._hash.update(data[start:end])
        self._file.write(data[start:end])

    def _close(self) -> None:
        self._file.close()
        self._part.rename(self._folder / f"{self._hash.hexdigest()[:32]}.dcm")
        self.count += 1

    def _end(self) -> None:
        self.ended = True


def check_bytes(size: int, most: int, what: str) -> None:
    """Raise `SlideTooLargeError` where `what` has more bytes than a slide may."""
    if size > most:
        raise SlideTooLargeError(f"{what} has more than {most} bytes; raise MITOSIS_MAX_UPLOAD_BYTES if it is a slide")


def open_archive(credential: Credential, address: httpx.URL) -> httpx.Client:
    """A client of the archive at an address; it follows no redirect, which could lead to another."""
    headers = {"Authorization": f"Bearer {credential.token}"} if credential.is_for(address) else {}
    return httpx.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=False)


@contextmanager
def name_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong with an archive into `UnavailableError`, which says with what."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        hint = (
            "; set MITOSIS_DICOMWEB_TOKEN where workers run, and name its host in MITOSIS_DICOMWEB_HOSTS"
            if status in (401, 403)
            else ""
        )
        raise UnavailableError(f"{what} is answered with status {status}{hint}") from error
    except (httpx.HTTPError, httpx.InvalidURL, MultipartParseError, ValueError, LookupError) as error:
        raise UnavailableError(f"{what} cannot be had: {type(error).__name__}: {str(error)[:200]}") from error
