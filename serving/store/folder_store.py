"""What must outlive a server, as folders by name: on its own disk, or in an object store of which the disk holds copies.

A name such as `slides/<sha256>`, `results/<id>-<n>` or `checkpoints/<id>/<key>` is a path below a folder here and below the
address there. `DiskFolderStore` and `SharedFolderStore` are used alike, so nothing else knows which it is.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from serving.store.blob_store import BlobStoreError, nobody_asks
from serving.store.database import Database
from serving.store.identity import DetachedError, read_marker

_log = logging.getLogger("mitoserve.store")


class FolderStore(Protocol):
    """Folders that are kept by name. Those that are put never change."""

    root: Path
    """Where they lie on this disk."""

    def new_copy(self) -> str:
        """Name of a folder within a slide's that no other server chooses; empty where there is no need."""

    def put(self, folder: Path, name: str) -> None:
        """Make sure that `folder` outlives this server as `name`; raises `BlobStoreError`, an error to wait for."""

    def settle(self, folder: Path, name: str) -> None:
        """Move what was put to its place on this disk."""

    def hold(self, name: str, going: Callable[[], None] = nobody_asks) -> AbstractContextManager[Path]:
        """The folder on this disk, which stays until the block ends.

        going : raises where nobody waits any more for what is brought from far

        Raises
        ------
        FileNotFoundError
            If it is gone for good.
        BlobStoreError
            If it cannot be brought now.
        """

    def drop_copy(self, name: str) -> bool:
        """Remove a damaged copy of what is kept elsewhere, so that it is brought again; False where there is no other."""

    def put_file(self, path: Path, name: str) -> None:
        """Make sure that a file outlives this server."""

    def fetch_files(self, name: str) -> None:
        """Bring the files below `name` to this disk, but for those that are there."""

    def remove(self, name: str) -> None:
        """Remove what is below `name`, though not from this disk."""

    def make_room(self, length: int) -> None:
        """Remove copies that are not in use, the longest unused first, until `length` more bytes fit."""

    def start(self, database: Database, *, adopt: bool = False) -> None:
        """Make sure that what is kept belongs to `database`, or with `adopt` make it so; raises `SettingsError`."""

    def adopt(self, state: Path, names: Sequence[str]) -> None:
        """Keep those of `names` that lie in the state folder of a server that kept them on its disk."""

    def check(self) -> None:
        """Raise `BusyError` where nothing can be kept now, because the place is out of reach or not what it was."""

    def sweep(self, wanted: Callable[[], Callable[[str], bool]]) -> list[str]:
        """Remove what nobody wants and nobody writes any more; gives the names.

        wanted : gives what says whether a name is still wanted, as of now
        """


class DiskFolderStore:
    """What is on this disk is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marker = read_marker(root)

    def new_copy(self) -> str:
        """See `FolderStore`."""
        return ""

    def put(self, folder: Path, name: str) -> None:
        """See `FolderStore`."""

    def settle(self, folder: Path, name: str) -> None:
        """See `FolderStore`."""
        target = self.root / name
        shutil.rmtree(target, ignore_errors=True)  # left by one who died between this and the commit
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.rename(target)

    @contextmanager
    def hold(self, name: str, going: Callable[[], None] = nobody_asks) -> Iterator[Path]:
        """See `FolderStore`; retention deletes what is in use, too."""
        yield self.root / name

    def drop_copy(self, name: str) -> bool:
        """See `FolderStore`."""
        return False

    def put_file(self, path: Path, name: str) -> None:
        """See `FolderStore`."""

    def fetch_files(self, name: str) -> None:
        """See `FolderStore`."""

    def remove(self, name: str) -> None:
        """See `FolderStore`."""

    def make_room(self, length: int) -> None:
        """See `FolderStore`; nothing here is a copy."""

    def start(self, database: Database, *, adopt: bool = False) -> None:
        """See `FolderStore`; `open_database` has made sure of it."""

    def adopt(self, state: Path, names: Sequence[str]) -> None:
        """See `FolderStore`."""

    def check(self) -> None:
        """See `FolderStore`: the folder may have been removed, or its disk unmounted."""
        if read_marker(self.root) != self._marker:
            raise DetachedError(
                f"the state folder {self.root} is not the one that the server started with; bring it back"
            )

    def sweep(self, wanted: Callable[[], Callable[[str], bool]]) -> list[str]:
        """See `FolderStore`."""
        return []


def discard_folders(kept: FolderStore, names: Iterable[str]) -> None:
    """Remove folders that no row names any more and whose names are never used again."""
    for name in names:
        shutil.rmtree(kept.root / name, ignore_errors=True)
        remove_kept(kept, name)


def remove_kept(kept: FolderStore, name: str) -> None:
    """Remove what is kept beyond this disk; where the object store does not answer, it is left to the sweep."""
    try:
        kept.remove(name)
    except BlobStoreError as error:
        _log.warning("%s is left to the next sweep: %s", name, error)


def flush(folder: Path) -> None:
    """Make sure that the disk has what is in `folder`."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def measure_size(folder: Path) -> int:
    """Bytes of all files in `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
