"""Where uploads lie until they are whole: a private folder per server, cleared when a server dies."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.settings import SettingsError


@contextmanager
def open_spool(root: Path) -> Iterator[Path]:
    """A fresh folder below `root`, readable by this user alone; what dead servers left in `root` is removed first.

    A server holds a lock on its folder for as long as its process lives, so a folder whose lock is free has no owner.

    Raises
    ------
    SettingsError
        If `root` cannot be made or belongs to another user.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.lstat().st_uid
    except OSError as error:
        raise SettingsError(f"uploads cannot be stored in {root}: {error}; set MITOSIS_STATE") from error
    if owner != os.getuid() or root.is_symlink():
        raise SettingsError(f"uploads cannot be stored in {root}: it belongs to another user; set MITOSIS_STATE")
    with _lock(root):
        _remove_orphans(root)
        folder = Path(tempfile.mkdtemp(prefix="server-", dir=root))
        lock = _try_lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _remove_orphans(root: Path) -> None:
    for folder in root.glob("server-*"):
        lock = _try_lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, waiting for it: servers that start together look for orphans one by one."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _try_lock(folder: Path) -> int | None:
    """A handle that holds the lock of `folder`; None where another process holds it or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
