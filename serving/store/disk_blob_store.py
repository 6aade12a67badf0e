"""What must outlive a server: on its own disk, or in an object store of which the disk holds copies.

A name such as `slides/<sha256>`, `results/<id>-<n>` or `checkpoints/<id>/<key>` is a path below a folder here and below the
address there. `DiskBlobStore` and `ObjectBlobStore` are used alike, so nothing else knows which it is.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving.settings import ServerSettings
from serving.store.blob_store import nobody_asks
from serving.store.database import Database
from serving.store.identity import DetachedError, read_marker
from serving.store.object_blob_store import ObjectBlobStore
from serving.store.objects import ObjectFolders


class DiskBlobStore:
    """What is on this disk is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marker = read_marker(root)

    def new_copy(self) -> str:
        """See `BlobStore`."""
        return ""

    def put(self, folder: Path, name: str) -> None:
        """See `BlobStore`."""

    def settle(self, folder: Path, name: str) -> None:
        """See `BlobStore`."""
        target = self.root / name
        shutil.rmtree(target, ignore_errors=True)  # left by one who died between this and the commit
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.rename(target)

    @contextmanager
    def hold(self, name: str, going: Callable[[], None] = nobody_asks) -> Iterator[Path]:
        """See `BlobStore`; retention deletes what is in use, too."""
        yield self.root / name

    def drop_copy(self, name: str) -> bool:
        """See `BlobStore`."""
        return False

    def put_file(self, path: Path, name: str) -> None:
        """See `BlobStore`."""

    def fetch_files(self, name: str) -> None:
        """See `BlobStore`."""

    def remove(self, name: str) -> None:
        """See `BlobStore`."""

    def make_room(self, length: int) -> None:
        """See `BlobStore`; nothing here is a copy."""

    def start(self, database: Database, *, adopt: bool = False) -> None:
        """See `BlobStore`; `open_database` has made sure of it."""

    def adopt(self, state: Path, names: Sequence[str]) -> None:
        """See `BlobStore`."""

    def check(self) -> None:
        """See `BlobStore`: the folder may have been removed, or its disk unmounted."""
        if read_marker(self.root) != self._marker:
            raise DetachedError(
                f"the state folder {self.root} is not the one that the server started with; bring it back"
            )

    def sweep(self, wanted: Callable[[], Callable[[str], bool]]) -> list[str]:
        """See `BlobStore`."""
        return []


def open_blob_store(settings: ServerSettings) -> DiskBlobStore | ObjectBlobStore:
    """What `settings` ask for."""
    if settings.objects is None:
        return DiskBlobStore(settings.state)
    return ObjectBlobStore(
        settings.state / "cache",
        ObjectFolders(settings.objects),
        cache_bytes=settings.cache_bytes,
        min_free_bytes=settings.min_free_bytes,
    )
