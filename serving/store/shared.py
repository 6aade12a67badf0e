"""What must outlive a server: on its own disk, or in an object store of which the disk holds copies.

A name such as `slides/<sha256>`, `results/<id>-<n>` or `checkpoints/<id>/<key>` is a path below a folder here and below the
address there. `OnDisk` and `InObjects` are used alike, so nothing else knows which it is.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving.settings import Settings
from serving.store.database import Database
from serving.store.identity import DetachedError, read_marker
from serving.store.in_objects import InObjects
from serving.store.keeping import nobody_asks
from serving.store.objects import Objects


class OnDisk:
    """What is on this disk is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marker = read_marker(root)

    def new_copy(self) -> str:
        """See `Keeping`."""
        return ""

    def put(self, folder: Path, name: str) -> None:
        """See `Keeping`."""

    def settle(self, folder: Path, name: str) -> None:
        """See `Keeping`."""
        target = self.root / name
        shutil.rmtree(target, ignore_errors=True)  # left by one who died between this and the commit
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.rename(target)

    @contextmanager
    def held(self, name: str, going: Callable[[], None] = nobody_asks) -> Iterator[Path]:
        """See `Keeping`; retention deletes what is in use, too."""
        yield self.root / name

    def drop_copy(self, name: str) -> bool:
        """See `Keeping`."""
        return False

    def put_file(self, path: Path, name: str) -> None:
        """See `Keeping`."""

    def fetch_files(self, name: str) -> None:
        """See `Keeping`."""

    def remove(self, name: str) -> None:
        """See `Keeping`."""

    def make_room(self, length: int) -> None:
        """See `Keeping`; nothing here is a copy."""

    def start(self, database: Database, *, adopt: bool = False) -> None:
        """See `Keeping`; `open_database` has made sure of it."""

    def adopt(self, state: Path, names: Sequence[str]) -> None:
        """See `Keeping`."""

    def check(self) -> None:
        """See `Keeping`: the folder may have been removed, or its disk unmounted."""
        if read_marker(self.root) != self._marker:
            raise DetachedError(
                f"the state folder {self.root} is not the one that the server started with; bring it back"
            )

    def sweep(self, wanted: Callable[[], Callable[[str], bool]]) -> list[str]:
        """See `Keeping`."""
        return []


def keeping_of(settings: Settings) -> OnDisk | InObjects:
    """What `settings` ask for."""
    if settings.objects is None:
        return OnDisk(settings.state)
    return InObjects(
        settings.state / "cache",
        Objects(settings.objects),
        cache_bytes=settings.cache_bytes,
        min_free_bytes=settings.min_free_bytes,
    )
