"""Blobs by URL (s3://, gs://, az://, https://), with the errors of a cohort."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from serving.cohort.errors import CohortError, MissingSlideError
from serving.store.blob_store import BlobStore, fetch_blob
from serving.store.bucket_blob_store import BlobAddressError, open_blob_store
from serving.store.dicomweb import check_bytes


def open_storage(address: str) -> BlobStore:
    """The blobs at a path or URL.

    Raises
    ------
    CohortError
        If no storage is known by such URLs.
    """
    try:
        return open_blob_store(address, patient=True)
    except BlobAddressError as error:
        raise CohortError(f"{address} is no storage that can be read: {error}") from error


def open_below(url: str) -> BlobStore:
    """The blobs below a URL, in which names are quoted; raises as `open_storage`."""
    parts = urlsplit(url)
    return open_storage(unquote(parts.path) or "/" if parts.scheme == "file" else url)


def find_blob(url: str) -> tuple[BlobStore, str]:
    """The folder that a URL leads to, and the name of a blob in it; raises as `open_storage`."""
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    return open_below(f"{parts.scheme}://{parts.netloc}{folder}"), unquote(name)


def fetch(url: str, target: Path, *, max_bytes: int) -> None:
    """Write a blob to a file, block by block.

    Raises
    ------
    MissingSlideError, BlobStoreError
        If there is no such blob, or it cannot be had now.
    SlideTooLargeError
        If it is larger than `max_bytes`.
    """
    store, name = find_blob(url)
    known = store.head(name)
    if known is None:
        raise MissingSlideError(f"there is no object {url}")
    check_bytes(known.size, max_bytes, url)
    fetch_blob(store, name, target)
