"""Where a cohort's results lie: a folder or a bucket. Each object appears whole, or not at all."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from serving.cohort.buckets import list_objects, open_bucket, storage_errors
from serving.cohort.errors import MissingSlideError, UnavailableError
from serving.cohort.manifest_entry import is_path

_PART = ".part"
_STALE_S = 3600.0
"""Unfinished files of this age are of writers that were killed: writing a result takes less than a second."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object. modified : seconds since 1970."""

    size: int
    modified: float


class ResultStore(Protocol):
    """Objects by name, such as `reports/a.json.gz`. Every method raises `UnavailableError` or OSError where storage fails."""

    address: str

    def put(self, name: str, data: bytes) -> None:
        """Write or replace an object, at once: whoever reads sees the old one or the new one."""

    def get(self, name: str) -> bytes | None:
        """The object; None where there is none."""

    def list(self, folder: str) -> dict[str, StoredObject]:
        """The objects directly below `folder`, by their name in it."""

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""


def open_result_store(address: str) -> ResultStore:
    """The results at a path or URL.

    Raises
    ------
    CohortError
        If no storage is known by such URLs.
    """
    if is_path(address) or address.startswith("file://"):
        return FolderResultStore(Path(address.removeprefix("file://")).absolute())
    return BucketResultStore(address)


class FolderResultStore:
    """See `ResultStore`; files are written beside their place and renamed."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def put(self, name: str, data: bytes) -> None:
        """See `ResultStore.put`."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: another try at the same slide may write at the same time.
        handle, part = tempfile.mkstemp(prefix=".", suffix=_PART, dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(part, 0o644)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def get(self, name: str) -> bytes | None:
        """See `ResultStore.get`."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> dict[str, StoredObject]:
        """See `ResultStore.list`; what killed writers left long ago is removed on the way."""
        found: dict[str, StoredObject] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat()
                    if entry.name.startswith("."):
                        if entry.name.endswith(_PART) and time.time() - state.st_mtime > _STALE_S:
                            os.unlink(entry.path)
                    elif entry.is_file():
                        found[entry.name] = StoredObject(state.st_size, state.st_mtime)
        return found

    def delete(self, name: str) -> None:
        """See `ResultStore.delete`."""
        (self.root / name).unlink(missing_ok=True)


class BucketResultStore:
    """See `ResultStore`; a PUT replaces an object at once."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        open_bucket(self.address)

    def put(self, name: str, data: bytes) -> None:
        """See `ResultStore.put`."""
        try:
            with self._at(name) as (store, key):
                # Parts of a multipart upload would be kept, and paid for, where a writer is killed.
                store.put(key, data, use_multipart=False)
        except MissingSlideError as error:
            raise UnavailableError(f"results cannot be kept: there is no bucket for {self.address}") from error

    def get(self, name: str) -> bytes | None:
        """See `ResultStore.get`."""
        try:
            with self._at(name) as (store, key):
                return bytes(store.get(key).bytes())
        except MissingSlideError:
            return None

    def list(self, folder: str) -> dict[str, StoredObject]:
        """See `ResultStore.list`."""
        root = f"{open_bucket(self.address)[1]}/{folder}/".lstrip("/")
        found = {}
        for meta in list_objects(f"{self.address}/{folder}"):
            name = str(meta["path"]).removeprefix(root)
            if "/" not in name:
                found[name] = StoredObject(int(meta["size"]), meta["last_modified"].timestamp())
        return found

    def delete(self, name: str) -> None:
        """See `ResultStore.delete`."""
        with contextlib.suppress(MissingSlideError), self._at(name) as (store, key):
            store.delete(key)

    @contextlib.contextmanager
    def _at(self, name: str) -> Iterator[tuple[Any, str]]:
        store, key = open_bucket(f"{self.address}/{quote(name)}")
        try:
            with storage_errors(f"{self.address}/{name}"):
                yield store, key
        except MissingSlideError:
            raise
        except UnavailableError as error:
            raise UnavailableError(f"results cannot be kept or read: {error}") from error
