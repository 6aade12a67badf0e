"""Blobs by name at one address, each there whole or not at all: what every store of them does, and the one in a folder."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeVar

from serving.core.errors import BusyError, is_disk_full

_Made = TypeVar("_Made")

CHUNK_BYTES = 8 * 2**20
_PART = ".part"
_STALE_S = 3600.0
"""Unfinished files of this age are of writers that were killed."""


class BlobStoreError(BusyError):
    """Storage does not answer, or not as it should; what needs it waits."""

    slug = "busy"


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as it is listed.

    name : below the address of its store
    size : bytes
    modified : seconds since 1970
    """

    name: str
    size: int
    modified: float


class BlobStore(Protocol):
    """Blobs by name, such as `reports/a.json.gz`; no name is the folder of another.

    Every method raises `BlobStoreError` where storage does not answer, and OSError where a disk is full.
    """

    address: str

    def put(self, name: str, content: bytes | Path) -> None:
        """Write or replace a blob, at once: whoever reads sees the old one or the new one.

        content : the bytes, or the file that holds them
        """

    def put_folder(self, folder: Path, name: str, *, last: str) -> None:
        """Write the files of `folder`, which has no folders in it, as blobs below `name`.

        last : the file that says that all are there, which nobody sees without the others

        Raises
        ------
        FileExistsError
            If somebody else has written it meanwhile, where that can be told.
        """

    def get(self, name: str, *, length: int | None = None) -> bytes | None:
        """The content of a blob, or its first `length` bytes; None where there is no blob."""

    def head(self, name: str) -> Blob | None:
        """What is known of a blob; None where there is none."""

    def stream(self, name: str) -> Iterator[bytes]:
        """The content of a blob, a few megabytes at a time; raises `FileNotFoundError` where there is none."""

    def list(self, folder: str = "") -> Iterator[Blob]:
        """Every blob below `folder`, in no order."""

    def delete(self, name: str) -> None:
        """Remove a blob, if it is there."""

    def path(self, name: str) -> Path | None:
        """Where `name` lies on this machine's file systems; None where it does not."""


def nobody_asks() -> None:
    """For `going` where nobody would stop."""


def fetch_blob(store: BlobStore, name: str, target: Path, going: Callable[[], None] = nobody_asks) -> None:
    """Write a blob to a file.

    going : called every few megabytes, to raise where nobody waits any more

    Raises
    ------
    FileNotFoundError
        If there is no such blob.
    """
    with target.open("wb") as file:
        for chunk in store.stream(name):
            going()
            file.write(chunk)


class FolderBlobStore:
    """See `BlobStore`; files are written beside their place and renamed. Names that begin with a dot are no blobs."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def put(self, name: str, content: bytes | Path) -> None:
        """See `BlobStore.put`."""
        path = self.root / name
        try:
            with self._answering():
                handle, part = _make_part(path.parent)
                try:
                    with open(handle, "wb") as file:
                        _write(content, file)
                    with suppress(PermissionError):  # some mounts know no modes
                        os.chmod(part, 0o644)
                    os.replace(part, path)
                except BaseException:
                    Path(part).unlink(missing_ok=True)
                    raise
        except FileNotFoundError as error:  # the file that holds the content
            raise BlobStoreError(f"{name} cannot be written to {self.address} ({error}); try again later") from error

    def put_folder(self, folder: Path, name: str, *, last: str) -> None:
        """See `BlobStore.put_folder`; the whole folder is renamed, so `last` need not be known."""
        target = self.root / name
        with self._answering():
            part = Path(_make_inside(target.parent, lambda: tempfile.mkdtemp(prefix=f"{_PART}-", dir=target.parent)))
            try:
                part.chmod(0o755)
                for path in folder.iterdir():
                    if path.is_file():
                        shutil.copyfile(path, part / path.name)
                os.rename(part, target)
            except OSError as error:
                if target.is_dir():
                    raise FileExistsError(str(target)) from error
                raise
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def get(self, name: str, *, length: int | None = None) -> bytes | None:
        """See `BlobStore.get`."""
        try:
            with self._answering(), (self.root / name).open("rb") as file:
                return file.read(-1 if length is None else length)
        except FileNotFoundError:
            return None

    def head(self, name: str) -> Blob | None:
        """See `BlobStore.head`."""
        try:
            with self._answering():
                state = (self.root / name).stat()
        except FileNotFoundError:
            return None
        return Blob(name, state.st_size, state.st_mtime)

    def stream(self, name: str) -> Iterator[bytes]:
        """See `BlobStore.stream`."""
        with self._answering(), (self.root / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def list(self, folder: str = "") -> Iterator[Blob]:
        """See `BlobStore.list`; what killed writers left long ago is removed on the way."""
        with suppress(FileNotFoundError), self._answering(), os.scandir(self.root / folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.name.startswith("."):
                        _remove_stale(entry)
                    elif entry.is_dir():
                        yield from self.list(f"{folder}/{entry.name}".lstrip("/"))
                    elif entry.is_file():
                        state = entry.stat()
                        yield Blob(f"{folder}/{entry.name}".lstrip("/"), state.st_size, state.st_mtime)

    def delete(self, name: str) -> None:
        """See `BlobStore.delete`; folders that are empty then go too, as a bucket has none."""
        with suppress(FileNotFoundError), self._answering():
            (self.root / name).unlink()
        with suppress(OSError):  # another blob is there, or comes
            for folder in PurePosixPath(name).parents[:-1]:
                (self.root / folder).rmdir()

    def path(self, name: str) -> Path | None:
        """See `BlobStore.path`."""
        return self.root / name

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Errors of the disk as `BlobStoreError`, but for one that is full, and for what is there or is not."""
        try:
            yield
        except NotADirectoryError as error:
            raise FileNotFoundError(str(error)) from error
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            if is_disk_full(error):
                raise
            raise BlobStoreError(f"{self.address} cannot be read or written ({error}); try again later") from error


def _make_part(folder: Path) -> tuple[int, str]:
    """An unfinished file, of a name of its own: another writer may write the same blob at the same time."""
    return _make_inside(folder, lambda: tempfile.mkstemp(prefix=".", suffix=_PART, dir=folder))


def _make_inside(folder: Path, make: Callable[[], _Made]) -> _Made:
    """What `make` makes in a folder, which is made too. Who deletes the last blob of a folder removes the folder meanwhile."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return make()
        except FileNotFoundError:
            continue
        except FileExistsError:
            # Raised too where the folder went between two questions of `mkdir`; a file in its place stays.
            if folder.exists() and not folder.is_dir():
                raise


def _write(content: bytes | Path, file: BinaryIO) -> None:
    """Write the content of a blob to the disk itself."""
    if isinstance(content, Path):
        with content.open("rb") as source:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
    else:
        file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _remove_stale(entry: "os.DirEntry[str]") -> None:
    if entry.name.endswith(_PART) and time.time() - entry.stat().st_mtime > _STALE_S:
        os.unlink(entry.path)
