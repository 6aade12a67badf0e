"""Blobs in a bucket, by way of obstore, which knows S3, Google's and Azure's storage; and which store an address means."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from serving.core.errors import MitoserveError
from serving.store.blob_store import CHUNK_BYTES, Blob, BlobStore, BlobStoreError, FolderBlobStore

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_TIMES = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "12h"}
"""A slide takes as long as it takes, but a minute without a byte is a fault."""
_QUICK = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
_PATIENT = {"max_retries": 10, "retry_timeout": timedelta(minutes=3)}
_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_")
"""Begin the environment variables that say how storage is reached."""
_CONNECTION = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "http1_only",
    "http2_only",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "read_timeout",
    "timeout",
    "user_agent",
)
"""What of a connection such variables may state. Stated with times of our own, since these take the place of all of them."""


class BlobAddressError(MitoserveError):
    """No storage is known by such an address, or what reaches it is not installed."""

    slug = "internal-error"


def open_blob_store(address: str, *, patient: bool = False) -> BlobStore:
    """The blobs at a path, or at a URL that obstore knows: s3://, gs://, az://, https://.

    patient : where nobody waits for an answer, an object store is asked again for three minutes, else for 20 s

    Raises
    ------
    BlobAddressError
        If no storage is known by such an address.
    """
    if "://" not in address or address.startswith("file://"):
        return FolderBlobStore(Path(address.removeprefix("file://")).absolute())
    return BucketBlobStore(address, patient=patient)


class BucketBlobStore:
    """See `BlobStore`; a PUT replaces an object at once."""

    def __init__(self, address: str, *, patient: bool = False) -> None:
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        # Only obstore knows which part of a web address is the bucket's name.
        web = parts.scheme in ("http", "https")
        root = self.address if web else f"{parts.scheme}://{parts.netloc}"
        self._prefix = "" if web else unquote(parts.path).strip("/")
        stated = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(_VARIABLES)))
        self._store = _connect(root, patient, stated)

    def put(self, name: str, content: bytes | Path) -> None:
        """See `BlobStore.put`."""
        try:
            with self._answering():
                # Parts of a multipart upload would be kept, and paid for, where a writer is killed.
                self._store.put(self._key(name), content, use_multipart=None if isinstance(content, Path) else False)
        except FileNotFoundError as error:
            raise BlobStoreError(f"there is no bucket for {self.address}") from error

    def put_folder(self, folder: Path, name: str, *, last: str) -> None:
        """See `BlobStore.put_folder`; another writer is not noticed."""
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in sorted(files, key=lambda path: path.name == last):
            self.put(f"{name}/{path.name}", path)

    def get(self, name: str, *, length: int | None = None) -> bytes | None:
        """See `BlobStore.get`."""
        try:
            with self._answering():
                if length is None:
                    return bytes(self._store.get(self._key(name)).bytes())
                return bytes(self._store.get_range(self._key(name), start=0, length=length))
        except FileNotFoundError:
            return None

    def head(self, name: str) -> Blob | None:
        """See `BlobStore.head`."""
        try:
            with self._answering():
                return self._blob(dict(self._store.head(self._key(name))))
        except FileNotFoundError:
            return None

    def stream(self, name: str) -> Iterator[bytes]:
        """See `BlobStore.stream`."""
        try:
            with self._answering():
                for chunk in self._store.get(self._key(name)).stream(min_chunk_size=CHUNK_BYTES):
                    yield bytes(chunk)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"there is no object {self.address}/{name}") from error

    def list(self, folder: str = "") -> Iterator[Blob]:
        """See `BlobStore.list`."""
        try:
            with self._answering():
                for batch in self._store.list(self._key(folder) or None):
                    yield from (self._blob(dict(found)) for found in batch)
        except FileNotFoundError as error:
            raise BlobStoreError(f"there is no bucket for {self.address}") from error

    def delete(self, name: str) -> None:
        """See `BlobStore.delete`."""
        with suppress(FileNotFoundError), self._answering():
            self._store.delete(self._key(name))

    def path(self, name: str) -> Path | None:
        """See `BlobStore.path`."""
        return None

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".strip("/")

    def _blob(self, found: dict[str, Any]) -> Blob:
        name = str(found["path"]).removeprefix(f"{self._prefix}/" if self._prefix else "")
        return Blob(name, int(found["size"]), found["last_modified"].timestamp())

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Errors of the object store as `BlobStoreError`; that something is not there stays `FileNotFoundError`."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # some are OSErrors of Python's, such as one for a key that was revoked
            raise BlobStoreError(
                f"the object store {self.address} does not answer ({_first_line(error)}); try again later"
            ) from error


@lru_cache(maxsize=64)
def _connect(root: str, patient: bool, stated: tuple[tuple[str, str], ...]) -> "ObjectStore":
    """A client, which keeps its connections; another one where the environment states something else."""
    try:
        from obstore.store import from_url  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BlobAddressError(f"{root} needs the extra s3: pip install 'mitoserve[s3]'") from error
    options = {
        name: value
        for variable, value in stated
        if (name := variable.partition("_")[2].lower()) in _CONNECTION and value
    }
    try:
        if root.startswith("memory:"):  # obstore's own, for tests
            return from_url(root)
        keywords: Any = {"client_options": _TIMES | options, "retry_config": _PATIENT if patient else _QUICK}
        found: ObjectStore = from_url(root, **keywords)
    except Exception as error:  # each kind of storage has types of its own
        raise BlobAddressError(_first_line(error)) from error
    return found


def _first_line(error: Exception) -> str:
    """What an error says, without the page of detail that obstore adds."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
