"""Folders that are kept by name: what whoever keeps them must do, and what their users share."""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from serving.store.database import Database
from serving.store.objects import ObjectsError

_log = logging.getLogger("mitoserve.store")


def nobody_asks() -> None:
    """For `going` where nobody would stop."""


class BlobStore(Protocol):
    """Folders that are kept by name. Those that are put never change."""

    root: Path
    """Where they lie on this disk."""

    def new_copy(self) -> str:
        """Name of a folder within a slide's that no other server chooses; empty where there is no need."""

    def put(self, folder: Path, name: str) -> None:
        """Make sure that `folder` outlives this server as `name`; raises `ObjectsError`, an error to wait for."""

    def settle(self, folder: Path, name: str) -> None:
        """Move what was put to its place on this disk."""

    def hold(self, name: str, going: Callable[[], None] = nobody_asks) -> AbstractContextManager[Path]:
        """The folder on this disk, which stays until the block ends.

        going : raises where nobody waits any more for what is brought from far

        Raises
        ------
        FileNotFoundError
            If it is gone for good.
        ObjectsError
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


def discard_folders(kept: BlobStore, names: Iterable[str]) -> None:
    """Remove folders that no row names any more and whose names are never used again."""
    for name in names:
        shutil.rmtree(kept.root / name, ignore_errors=True)
        remove_kept(kept, name)


def remove_kept(kept: BlobStore, name: str) -> None:
    """Remove what is kept beyond this disk; where the object store does not answer, it is left to the sweep."""
    try:
        kept.remove(name)
    except ObjectsError as error:
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
