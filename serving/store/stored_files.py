"""The files of stored slides: where they lie, and whether their bytes are those that the slide's id is the hash of."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from sqlalchemy import select, update

from serving.slides.hashing import ID_RULE
from serving.store.blob_store import nobody_asks
from serving.store.database import Database
from serving.store.errors import NotFoundError, SlideChangedError, SlideDamagedError, SlideReplacedError
from serving.store.folder_store import FolderStore
from serving.store.mounted import check_unchanged
from serving.store.places import SLIDES, choose_place
from serving.store.stamps import SlideStamps, list_files, look_at
from serving.store.tables import blobs

DAMAGED = "damaged"
"""In place of the stamp that a mounted slide has: the next upload of the slide is stored, whatever lies here."""


class StoredFiles:
    """The files of the slides of one state folder, and of those that are mounted."""

    def __init__(self, database: Database, kept: FolderStore, stamps: SlideStamps) -> None:
        self._database, self._kept, self._stamps = database, kept, stamps

    @contextmanager
    def path(self, sha256: str) -> Iterator[Path | None]:
        """Where the slide's main file or folder lies, for formats that refer to it; None if it is not here undamaged."""
        with ExitStack() as stack:
            try:
                found, _ = self.find(sha256, stack)
            except (NotFoundError, SlideDamagedError, SlideChangedError):
                found = None
            yield found

    def is_intact(self, sha256: str) -> bool:
        """Whether the slide is here and its bytes are those that its id is the hash of."""
        with self.path(sha256) as found:
            return found is not None

    def forget_stamp(self, sha256: str) -> None:
        """Hash the slide the next time, whatever its stamp says."""
        self._stamps.forget(sha256)

    def check_intact(self, sha256: str, *, since: str | None = None) -> None:
        """Raise what `find` raises where the slide's bytes are not those of its id; quick where nothing was written.

        since : how its files looked when it was opened, see `at_hand`. Bytes that were damaged and replaced since
            then are intact now, and what was read of them meanwhile is not to be relied on

        Raises
        ------
        SlideReplacedError
            If its files were written since then, and are intact.
        """
        with ExitStack() as stack:
            path, mounted = self.find(sha256, stack)
            if since is not None and look_at(list_files(path, mounted=mounted)) != since:
                raise SlideReplacedError(
                    f"the stored bytes of the slide {sha256[:12]}... were written while it was analysed; it is analysed again"
                )

    @contextmanager
    def at_hand(self, sha256: str, *, going: Callable[[], None] = nobody_asks) -> Iterator[tuple[Path, str]]:
        """The slide's file, which stays until the block ends, and how its files looked when their bytes were those of its id.

        The look is for `check_intact`. Raises as `find`.
        """
        with ExitStack() as stack:
            path, mounted = self.find(sha256, stack, going)
            yield path, look_at(list_files(path, mounted=mounted))

    def find(self, sha256: str, stack: ExitStack, going: Callable[[], None] = nobody_asks) -> tuple[Path, bool]:
        """The file to open, which stays until `stack` is closed and whose slide has the hash `sha256`; and whether it is mounted.

        A damaged copy of a slide that is kept elsewhere is brought again.

        going : raises where nobody waits any more for a slide that is brought from far

        Raises
        ------
        NotFoundError, SlideChangedError, SlideDamagedError
            If it is gone, or was changed where it is mounted or where it is stored.
        """
        path, stamp = self._locate(sha256, stack, going)
        if stamp:
            check_unchanged(path, stamp)
        if self._stamps.verify(path, list_files(path, mounted=bool(stamp)), sha256):
            return path, bool(stamp)
        with self._database.reading() as tx:
            row = tx.execute(select(blobs.c.main, blobs.c.id_rule).where(blobs.c.sha256 == sha256)).first()
        if row is not None and row.id_rule != ID_RULE:
            return path, bool(stamp)  # its id was made by a rule that is not computed any more
        if stamp:
            raise SlideChangedError(
                "this slide in the server's folder of slides is not the file any more that it was; register it again"
            )
        if row is not None and self._kept.drop_copy(choose_place(sha256, row.main)):
            stack.close()
            path, _ = self._locate(sha256, stack, going)
            if self._stamps.verify(path, list_files(path, mounted=False), sha256):
                return path, False
        self._kept.check()  # what is out of reach is not damaged
        with self._database.writing() as tx:  # a server that has a copy of its own would take it for stored
            tx.execute(update(blobs).where(blobs.c.sha256 == sha256, ~blobs.c.mounted).values(stamp=DAMAGED))
        raise SlideDamagedError(sha256)

    def _locate(self, sha256: str, stack: ExitStack, going: Callable[[], None]) -> tuple[Path, str]:
        """The file to open, which stays until `stack` is closed, and where it is mounted the stamp that it had."""
        with self._database.reading() as tx:
            row = tx.execute(select(blobs).where(blobs.c.sha256 == sha256)).first()
        gone = f"the slide {sha256[:12]}... is not stored here any more; upload it again"
        if row is None:
            raise NotFoundError(gone)
        if row.mounted:
            return Path(row.main), row.stamp
        place = choose_place(sha256, row.main)
        try:
            folder = stack.enter_context(self._kept.hold(place, going))
        except FileNotFoundError as error:
            raise NotFoundError(gone) from error
        return folder / PurePosixPath(SLIDES, sha256, row.main).relative_to(place), ""
