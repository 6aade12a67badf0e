"""Folders in a blob store that several servers share, each of which is there whole or not at all.

The files of a folder are blobs `<name>/<number>`; `<name>.json` says which file each of them is. It is written last and
removed first, so a folder is there exactly when that blob is. Names of files stay out of the store's listings.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from serving.settings import SettingsError
from serving.store.blob_store import BlobStore, BlobStoreError, FolderBlobStore, fetch_blob
from serving.store.bucket_blob_store import BlobAddressError, open_blob_store

INDEX = ".json"


class BlobFolders:
    """The folders below one address.

    Every method raises `BlobStoreError` where the store does not answer, and OSError where its disk is full.
    """

    def __init__(self, address: str) -> None:
        """`address`: as `MITOSIS_OBJECTS` states it; raises `SettingsError` where it cannot be used."""
        self.address = address
        self._blobs = _open(address)

    def put(self, folder: Path, name: str) -> None:
        """Write the files of `folder`, and then that they are there.

        Raises
        ------
        BlobStoreError
            If they cannot be written, or somebody removed some meanwhile.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        index: list[tuple[str, int]] = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]
        for number, path in enumerate(files):
            self._blobs.put(f"{name}/{number:06}", path)
        self._blobs.put(name + INDEX, json.dumps({"files": index, "sha256": _checksum(index)}).encode())
        there = {blob.name: blob.size for blob in self._blobs.list(name)}
        if there != {f"{name}/{number:06}": size for number, (_, size) in enumerate(index)}:
            raise BlobStoreError(f"{name} at {self.address} changed while it was written; try again")

    def size(self, name: str) -> int:
        """Bytes of the files of a folder; raises `FileNotFoundError` where it is not there."""
        return sum(size for _, size in self._index(name))

    def fetch(self, name: str, folder: Path, *, going: Callable[[], None]) -> None:
        """Write the files of a folder into the new `folder`.

        going : called every few megabytes, to raise where nobody waits any more

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        folder.mkdir(mode=0o700, parents=True)
        for number, (relative, size) in enumerate(self._index(name)):
            path = folder / _inside(relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            fetch_blob(self._blobs, f"{name}/{number:06}", path, going)
            if path.stat().st_size != size:
                raise BlobStoreError(
                    f"{name} at {self.address} came with {path.stat().st_size} of {size} bytes; try again"
                )

    def put_file(self, path: Path, name: str) -> None:
        """Write one file under a name of its own; it is there whole or not at all."""
        self._blobs.put(name, path)

    def fetch_files(self, name: str, folder: Path) -> None:
        """Write what `put_file` gave names below `name` into `folder`, but for what is there already."""
        missing = [path for path, _ in self._list(name) if not (folder / PurePosixPath(path).name).exists()]
        for path in missing:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = folder / f".{PurePosixPath(path).name}.part"
            fetch_blob(self._blobs, path, part)
            part.replace(folder / PurePosixPath(path).name)

    def remove(self, name: str) -> None:
        """Remove a folder, or all files below a name; nothing where there is none."""
        found = [path for path, _ in self._list(name)]
        for path in sorted(found, key=lambda path: path != name + INDEX):
            self._blobs.delete(path)

    def names(self, kind: str, name_of: Callable[[str], str]) -> dict[str, frozenset[tuple[str, int]]]:
        """(path, bytes) of all blobs below `kind`, by `name_of` their path."""
        found: dict[str, set[tuple[str, int]]] = {}
        for blob in self._blobs.list(kind):
            found.setdefault(name_of(blob.name), set()).add((blob.name, blob.size))
        return {name: frozenset(blobs) for name, blobs in found.items()}

    def list_objects(self, name: str) -> frozenset[tuple[str, int]]:
        """(path, bytes) of the blobs of a folder as they are now."""
        return frozenset(self._list(name))

    def read(self, name: str) -> bytes | None:
        """A small blob; None where it is not there."""
        return self._blobs.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a small blob."""
        self._blobs.put(name, content)

    def _index(self, name: str) -> list[tuple[str, int]]:
        content = self.read(name + INDEX)
        if content is None:
            raise FileNotFoundError(f"{name} is not at {self.address} any more")
        try:
            stated = json.loads(content)
            files = [(str(path), int(size)) for path, size in stated["files"]]
            if stated.get("sha256", _checksum(files)) == _checksum(files):  # earlier releases wrote none
                return files
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise FileNotFoundError(f"the list of files of {name} at {self.address} is damaged")

    def _list(self, name: str) -> Iterator[tuple[str, int]]:
        """The blobs of a folder: the one that says that it is there, and those below its name."""
        index = self._blobs.head(name + INDEX)
        if index is not None:
            yield index.name, index.size
        yield from ((blob.name, blob.size) for blob in self._blobs.list(name))


def _checksum(files: Sequence[tuple[str, int]]) -> str:
    """SHA-256 of a folder's list of files."""
    return hashlib.sha256(json.dumps([list(file) for file in files]).encode()).hexdigest()


def _open(address: str) -> BlobStore:
    try:
        store = open_blob_store(address)
        if isinstance(store, FolderBlobStore):
            store.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (BlobAddressError, OSError) as error:
        raise SettingsError(f"MITOSIS_OBJECTS={address} cannot be used: {error}") from error
    return store


def _inside(relative: str) -> PurePosixPath:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise BlobStoreError(f"the object store names a file {relative[:80]!r}, which leads elsewhere")
    return path
