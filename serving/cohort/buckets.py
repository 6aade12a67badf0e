"""Object storage by URL (s3://, gs://, az://, https://), by way of obstore: one library in Rust for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from serving.cohort.errors import CohortError, MissingSlideError, UnavailableError
from serving.core.errors import SlideTooLargeError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

BLOCK = 8 * 2**20


@lru_cache(maxsize=64)
def _store(root: str) -> "ObjectStore":
    try:
        from obstore.store import from_url  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CohortError(f"{root} needs the extra cohort: pip install 'mitoserve[cohort]'") from error
    try:
        return from_url(root)
    except Exception as error:  # each kind of storage has types of its own
        raise CohortError(f"{root} is no storage that can be read: {_line(error)}") from error


def open_bucket(url: str) -> tuple["ObjectStore", str]:
    """The bucket, and the key in it, that a URL names.

    Raises
    ------
    CohortError
        If no storage is known by such URLs.
    """
    parts = urlsplit(url)
    return _store(f"{parts.scheme}://{parts.netloc}"), unquote(parts.path).strip("/")


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Errors of the storage as those of a cohort.

    Raises
    ------
    MissingSlideError, UnavailableError
        If there is no such object, or it cannot be had now.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise MissingSlideError(f"there is no object {url}") from error
    except Exception as error:
        if not type(error).__module__.startswith("obstore"):
            raise
        raise UnavailableError(f"{url} cannot be had: {_line(error)}") from error


def list_objects(url: str) -> Iterator[dict[str, Any]]:
    """Every object below a URL: its `path` (key), `size` and `last_modified`; raises as `storage_errors`."""
    store, prefix = open_bucket(url)
    with storage_errors(url):
        for chunk in store.list(prefix or None):
            yield from (dict(meta) for meta in chunk)


def fetch(url: str, target: Path, *, max_bytes: int) -> None:
    """Write an object to a file, block by block.

    Raises
    ------
    MissingSlideError, UnavailableError
        As `storage_errors`.
    SlideTooLargeError
        If it is larger than `max_bytes`.
    """
    store, key = open_bucket(url)
    with storage_errors(url), target.open("wb") as file:
        found = store.get(key)
        check_bytes(found.meta["size"], max_bytes, url)
        for block in found.stream(BLOCK):
            file.write(block)


def check_bytes(size: int, most: int, what: str) -> None:
    """Raise `SlideTooLargeError` where `what` has more bytes than a slide may."""
    if size > most:
        raise SlideTooLargeError(f"{what} has more than {most} bytes; raise MITOSIS_MAX_UPLOAD_BYTES if it is a slide")


def _line(error: Exception) -> str:
    """What an error says, without the page of detail that obstore adds."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
