"""A folder of a process's own for what it fetches, which goes with the process, however that ends; one that workers share."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serving.core.errors import StorageError

PREFIX = "mitoserve-cohort-"
_LOCK = ".lock"


@contextlib.contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A new folder below `parent`, by default the system's for temporary files; gone when the block ends.

    A process that is killed removes nothing, so whoever comes next removes the folders whose process is gone: the kernel
    releases their locks.
    """
    base = parent or Path(tempfile.gettempdir())
    sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    handle = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def common_folder(name: str) -> Path:
    """An empty folder for locks, the same for all processes of this user on this machine that give this name.

    Raises
    ------
    StorageError
        If somebody else has made it, who could then hold up this user's processes.
    """
    folder = Path(tempfile.gettempdir()) / f"mitoserve-{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StorageError(
            f"{folder} must be a folder of this user's that is closed to others; remove it, or set TMPDIR"
        )
    return folder


def sweep(base: Path) -> None:
    """Remove what killed processes left below `base`."""
    for lock in base.glob(f"{PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # in use, or of another user
            handle = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(handle)
