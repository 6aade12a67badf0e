"""Folders in an object store that several servers share, of which each one's disk holds copies."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from serving.settings import ServerSettings, SettingsError
from serving.store.blob_folders import INDEX, BlobFolders
from serving.store.blob_store import BlobStoreError, nobody_asks
from serving.store.database import Database
from serving.store.folder_store import DiskFolderStore, FolderStore, flush, measure_size
from serving.store.identity import MARKER, check_common, make_number
from serving.store.orphans import OrphanTracker
from serving.store.places import CHECKPOINTS, COPY, RESULTS, SHADOWS, SLIDES, list_kept_names
from serving.store.spool import open_spool

_CACHED = (SLIDES, RESULTS, SHADOWS)
_LOCKS = 64


class SharedFolderStore:
    """What is in the object store is kept; this disk has copies of what was used last."""

    def __init__(self, root: Path, objects: BlobFolders, *, cache_bytes: int, min_free_bytes: int) -> None:
        """cache_bytes : copies may take, 0 for any; min_free_bytes : that copies leave free."""
        self.root, self.objects = root, objects
        self._cache_bytes, self._min_free_bytes = cache_bytes, min_free_bytes
        for folder in (root, root / "locks"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._orphans = OrphanTracker(root / "strays.json")

    def new_copy(self) -> str:
        """See `FolderStore`."""
        return f"{COPY}{secrets.token_hex(16)}"

    def put(self, folder: Path, name: str) -> None:
        """See `FolderStore`."""
        self.objects.put(folder, name)

    def settle(self, folder: Path, name: str) -> None:
        """See `FolderStore`; where it does not succeed, the copy is fetched when it is needed."""
        with suppress(OSError):
            self._place(folder, name)

    @contextmanager
    def hold(self, name: str, going: Callable[[], None] = nobody_asks) -> Iterator[Path]:
        """See `FolderStore`. The folder is locked, since the server and its worker are processes of their own."""
        while (handle := _hold(_top(self.root, name), self.root / name)) is None:
            self._fetch(name, going)
        try:
            os.utime(_top(self.root, name))
            yield self.root / name
        finally:
            os.close(handle)

    def drop_copy(self, name: str) -> bool:
        """See `FolderStore`; whoever reads the damaged copy may fail."""
        with suppress(FileNotFoundError), open_spool(self.root / "leaving") as spool:
            (self.root / name).rename(spool / "folder")
        return True

    def put_file(self, path: Path, name: str) -> None:
        """See `FolderStore`."""
        self.objects.put_file(path, name)

    def fetch_files(self, name: str) -> None:
        """See `FolderStore`."""
        self.objects.fetch_files(name, self.root / name)

    def remove(self, name: str) -> None:
        """See `FolderStore`."""
        self.objects.remove(name)

    def make_room(self, length: int) -> None:
        """See `FolderStore`."""
        free = shutil.disk_usage(self.root).free
        if not self._cache_bytes and free - length >= self._min_free_bytes:
            return
        copies = sorted(self._copies(), key=lambda copy: copy[0])
        over = max(
            sum(size for _, size, _ in copies) + length - self._cache_bytes if self._cache_bytes else 0,
            self._min_free_bytes + length - free,
        )
        for _, size, path in copies:
            if over <= 0:
                return
            over -= size if self._evict(path) else 0

    def start(self, database: Database, *, adopt: bool = False) -> None:
        """See `FolderStore`: the sweep of another database would take these objects for left over."""
        with database.writing() as tx:
            mine, named = str(make_number(tx)).encode(), list_kept_names(tx)
        with _starting():
            found = None if adopt else self.objects.read(MARKER)
            if found is None and not adopt:
                there = {name for kind in (SLIDES, RESULTS) for name in self.objects.names(kind, _folder_name)}
                there |= {name for name in named if (self.root.parent / name).is_dir()}  # `adopt` will copy these
                check_common(f"the address {self.objects.address}", there, named)
            if found is None:
                self.objects.write(MARKER, mine)
        if found not in (None, mine):
            raise SettingsError(
                f"the objects at {self.objects.address} belong to another database; give each MITOSIS_DATABASE an address "
                "of its own in MITOSIS_OBJECTS, or make them belong together with `mitoserve state adopt`"
            )

    def adopt(self, state: Path, names: Sequence[str]) -> None:
        """See `FolderStore`; what lies in `state` stays there."""
        with _starting():
            for name in names:
                if (state / name).is_dir() and self.objects.read(name + INDEX) is None:
                    self.objects.put(state / name, name)

    def check(self) -> None:
        """See `FolderStore`."""
        if self.objects.read(MARKER) is None:
            raise BlobStoreError(f"the objects at {self.objects.address} are not there any more; bring them back")

    def sweep(self, wanted: Callable[[], Callable[[str], bool]]) -> list[str]:
        """See `FolderStore`: what two looks a day apart found unwanted and unchanged, since somebody may be writing it."""
        there: dict[str, frozenset[tuple[str, int]]] = {}
        for kind in (SLIDES, RESULTS, SHADOWS, CHECKPOINTS):
            there |= self.objects.names(kind, _folder_name)
        is_wanted = wanted()  # asked after looking: what appeared since is not among `there`
        orphans = {name: _look(found) for name, found in there.items() if not is_wanted(name)}
        gone = []
        for name in self._orphans.due(orphans, total=len(there), now=time.time()):
            if _look(self.objects.list_objects(name)) == orphans[name]:
                self.objects.remove(name)
                gone.append(name)
        return gone

    def _fetch(self, name: str, going: Callable[[], None]) -> None:
        number = zlib.crc32(name.encode()) % _LOCKS
        with (self.root / "locks" / f"{number:02}").open("w") as lock, open_spool(self.root / "arriving") as spool:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (self.root / name).exists():
                return  # somebody else fetched it meanwhile
            self.make_room(self.objects.size(name))
            self.objects.fetch(name, spool / "folder", going=going)
            flush(spool / "folder")
            self._place(spool / "folder", name)

    def _place(self, folder: Path, name: str) -> None:
        (self.root / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.rename(self.root / name)
        os.utime(_top(self.root, name))

    def _copies(self) -> Iterator[tuple[int, int, Path]]:
        """(time of last use, bytes, folder) of each copy."""
        for kind in _CACHED:
            for path in (self.root / kind).glob("[!.]*"):  # what is being written or removed has a dot
                with suppress(FileNotFoundError):
                    yield path.stat().st_mtime_ns, measure_size(path), path

    def _evict(self, folder: Path) -> bool:
        """Remove a copy, unless it is in use."""
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open_spool(self.root / "leaving") as spool:
                folder.rename(spool / folder.name)
        except OSError:  # in use, or gone already
            return False
        finally:
            os.close(handle)
        return True


def open_folder_store(settings: ServerSettings) -> FolderStore:
    """What `settings` ask for."""
    if settings.objects is None:
        return DiskFolderStore(settings.state)
    return SharedFolderStore(
        settings.state / "cache",
        BlobFolders(settings.objects),
        cache_bytes=settings.cache_bytes,
        min_free_bytes=settings.min_free_bytes,
    )


@contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except (BlobStoreError, OSError) as error:
        raise SettingsError(f"MITOSIS_OBJECTS cannot be used: {error}") from error


def _hold(top: Path, folder: Path) -> int | None:
    """A handle that keeps others from removing `top`; None where it or `folder` is not there."""
    try:
        handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    fcntl.flock(handle, fcntl.LOCK_SH)
    try:
        if os.fstat(handle).st_ino == top.stat().st_ino and folder.is_dir():
            return handle
    except OSError:
        pass  # it was removed before it was locked
    os.close(handle)
    return None


def _top(root: Path, name: str) -> Path:
    """The folder in use by whoever uses `name`: of the slide, or the result."""
    return root.joinpath(*Path(name).parts[:2])


def _look(objects: Iterable[tuple[str, int]]) -> str:
    """How the objects of a folder look, for `OrphanTracker`."""
    return hashlib.sha256(json.dumps(sorted(objects)).encode()).hexdigest()


def _folder_name(path: str) -> str:
    """The folder that an object belongs to."""
    parts = path.removesuffix(INDEX).split("/")
    return "/".join(parts[: 3 if len(parts) > 2 and parts[2].startswith(COPY) else 2])
