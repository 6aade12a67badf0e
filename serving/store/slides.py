"""Slides, each stored once whoever brought it, in slides/<sha256>/, and a row for everyone who did."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, delete, select

from serving.isolation.decoders import Decoders
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.settings import ServerSettings
from serving.slides.companions import check_folder
from serving.slides.hashing import slide_sha256
from serving.store.cases import find_case, list_cases, set_case
from serving.store.database import Database
from serving.store.errors import (
    NotFoundError,
    QuotaError,
    SlideInUseError,
)
from serving.store.folder_store import discard_folders, flush, measure_size, remove_kept
from serving.store.mounted import find_mounted, make_stamp
from serving.store.places import SLIDES, STAMPS, TILES, choose_place
from serving.store.quotas import check_quota, find_payer, find_quota, used_bytes
from serving.store.shared_folder_store import open_folder_store
from serving.store.slide_rows import (
    UNFINISHED,
    DroppedSlide,
    StoredSlide,
    blob_row,
    current_id,
    find_main,
    forget_unowned,
    make_stored_slide,
    put_rows,
    resolve_owner,
    select_slides,
)
from serving.store.stamps import SlideStamps
from serving.store.stored_files import DAMAGED, StoredFiles
from serving.store.tables import OWN, analyses, blobs, slides

_GONE = ".gone-"


class SlideStore:
    """The slides of one state folder."""

    def __init__(self, database: Database, settings: ServerSettings, decoders: Decoders) -> None:
        self.database, self.settings, self.decoders = database, settings, decoders
        self.kept = open_folder_store(settings)
        self.folder = self.kept.root / SLIDES
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.files = StoredFiles(database, self.kept, SlideStamps(settings.state / STAMPS))

    def add(
        self,
        folder: Path,
        main: str,
        *,
        owner: str,
        name: str,
        sha256: str = "",
        kept: bool = True,
        upload: str | None = None,
    ) -> StoredSlide:
        """Take over the slide in `folder`, whose file to open is `main`; the folder moves or stays to be removed.

        sha256 : its hash, where it is known already; kept : False for a slide that goes with its last analysis; upload : the
        resumable upload that it was

        Raises
        ------
        MitoserveError
            If it cannot be opened as a slide; then nothing is stored.
        """
        with open_isolated(self.decoders, folder / main, name=name) as slide:
            # Only what opens as a slide is worth reading to the end.
            sha256 = sha256 or slide_sha256(folder / main)
            row = blob_row(slide, sha256, main, size=measure_size(folder))
        flush(folder)
        while not self._add(row, folder, owner=owner, name=name, kept=kept, upload=upload):
            pass  # it was stored when it was looked for, and forgotten when it should get its row
        return self.get(sha256, owner=owner)

    def _add(
        self, row: Mapping[str, object], folder: Path, *, owner: str, name: str, kept: bool, upload: str | None
    ) -> bool:
        """Store the slide unless it is stored undamaged, and give it its rows; False where that changed in between."""
        sha256, copy = str(row["sha256"]), self.kept.new_copy()
        main = str(PurePosixPath(copy, str(row["main"])))
        place = choose_place(sha256, main)
        with self.database.reading() as tx:
            known = find_main(tx, sha256)
            damaged = tx.execute(select(blobs.c.stamp).where(blobs.c.sha256 == sha256)).scalar() == DAMAGED
            self._check_quota(tx, row, owner, upload)
        needed = known is None or damaged or not self.files.is_intact(sha256)
        if needed:
            self.kept.put(folder, place)  # may take long, so no transaction waits for it
        try:
            with self.database.writing() as tx:
                stored = find_main(tx, sha256)
                if stored is None and not needed:
                    return False
                self._check_quota(tx, row, owner, upload)
                taken = needed and stored in (None, known)
                if taken:
                    self.kept.settle(folder, place)
                case = find_case(name, self.settings.case_pattern)
                put_rows(tx, {**row, "main": main}, owner=owner, name=name, kept=kept, case=case, replaces=taken)
        except QuotaError:
            if needed:
                remove_kept(self.kept, place)  # something else of the owner's was kept meanwhile
            raise
        if needed and not taken:
            remove_kept(self.kept, place)  # somebody else brought it meanwhile
        elif taken and stored is not None and choose_place(sha256, stored) != place:
            discard_folders(self.kept, [choose_place(sha256, stored)])
        return True

    def _check_quota(self, tx: Connection, row: Mapping[str, object], owner: str, upload: str | None) -> None:
        """Nothing, where the owner has the slide already or may keep it; raises `QuotaError`."""
        mine = (slides.c.owner == owner) & (slides.c.sha256 == row["sha256"]) & ~slides.c.mounted
        if tx.execute(select(slides.c.number).where(mine)).first() is None:
            check_quota(tx, self.settings, owner, int(str(row["size"])), instead_of=upload)

    def mount(self, path_name: str, *, owner: str) -> StoredSlide:
        """Register a slide of the mounted folder, which is read to the end once for its hash.

        Raises
        ------
        MitoserveError
            If the name leads elsewhere, or the file is no slide.
        """
        path = find_mounted(self.settings.slide_root, path_name)
        check_folder(path, path.name, hard_links=False)
        stamp = make_stamp(path)
        with open_isolated(self.decoders, path, name=path.name) as slide:
            # Only what opens as a slide is worth reading to the end.
            row = blob_row(slide, slide_sha256(path), str(path), size=0) | {"mounted": True, "stamp": stamp}
        sha256 = str(row["sha256"])
        with self.database.writing() as tx:
            case = find_case(path.name, self.settings.case_pattern)
            put_rows(tx, row, owner=owner, name=path.name, kept=True, case=case)
        return self.get(sha256, owner=owner)

    def get(self, sha256: str, *, owner: str | None) -> StoredSlide:
        """The slide as `owner` sees it; as anybody does where None.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with self.database.reading() as tx:
            row = tx.execute(select_slides(owner).where(slides.c.sha256 == current_id(tx, sha256)).limit(1)).first()
        if row is None:
            raise NotFoundError(f"no slide {sha256[:80]!r}; GET /v1/slides lists yours")
        return make_stored_slide(row)

    def page(self, *, owner: str | None, after: int, limit: int) -> list[StoredSlide]:
        """Slides behind number `after`, the newest last."""
        chosen = select_slides(owner).where(slides.c.number > after).order_by(slides.c.number).limit(limit)
        with self.database.reading() as tx:
            return [make_stored_slide(row) for row in tx.execute(chosen)]

    def assign_case(self, sha256: str, case: str | None, *, owner: str, anybodys: bool = False) -> StoredSlide:
        """Say which case a slide belongs to; see `set_case` for the parameters and errors."""
        with self.database.writing() as tx:
            sha256, owner = set_case(
                tx, sha256, case, owner=owner, pattern=self.settings.case_pattern, anybodys=anybodys
            )
        return self.get(sha256, owner=owner)

    def cases(self, *, owner: str | None, search: str = "", limit: int) -> list[tuple[str, int]]:
        """Cases and their numbers of slides; see `list_cases`."""
        with self.database.reading() as tx:
            return list_cases(tx, owner=owner, search=search, limit=limit)

    def open(self, sha256: str, *, name: str) -> IsolatedSlide:
        """The slide, opened in a process of its own.

        Raises
        ------
        MitoserveError
            As `StoredFiles.find`, or if it cannot be opened.
        """
        with contextlib.ExitStack() as stack:
            path, _ = self.files.find(sha256, stack)
            slide = open_isolated(self.decoders, path, name=name, sha256=sha256)
            slide.need(stack.pop_all())
            return slide

    def remove(self, sha256: str, *, owner: str, anybodys: bool = False) -> None:
        """Forget an owner's slide; its bytes go with the last one who has it.

        anybodys : where `owner` has no such slide, that of the one who has it is meant

        Raises
        ------
        NotFoundError
            If there is none.
        SharedSlideError
            If several others have it.
        SlideInUseError
            If an analysis of the owner's needs it.
        """
        with self.database.writing() as tx:
            sha256 = current_id(tx, sha256)
            owner = resolve_owner(tx, sha256, owner, anybodys=anybodys)
            mine = (slides.c.sha256 == sha256) & (slides.c.owner == owner)
            waiting = (
                (analyses.c.sha256 == sha256) & analyses.c.state.in_(UNFINISHED) & OWN & (analyses.c.owner == owner)
            )
            if tx.execute(select(analyses.c.id).where(waiting).limit(1)).first():
                raise SlideInUseError(
                    "an analysis of this slide is waiting or under way; cancel it or let it end first"
                )
            tx.execute(delete(slides).where(mine))
            gone = self.drop_unowned(tx, sha256)
        self.discard(gone)

    def drop_unowned(self, tx: Connection, sha256: str) -> DroppedSlide | None:
        """Forget a blob that nobody has and no analysis needs; gives what it left, for `discard` after the commit."""
        row = forget_unowned(tx, sha256)
        if row is None:
            return None
        folder = self.folder / sha256
        place = None if row.mounted else choose_place(sha256, row.main)
        return DroppedSlide(sha256, self.set_aside(folder) if folder.exists() else None, place)

    def discard(self, gone: DroppedSlide | None) -> None:
        """Remove what no row names any more."""
        if gone is None:
            return
        if gone.folder is not None:
            shutil.rmtree(gone.folder, ignore_errors=True)
        shutil.rmtree(self.settings.state / TILES / gone.sha256, ignore_errors=True)
        self.files.forget_stamp(gone.sha256)
        if gone.place is not None:
            remove_kept(self.kept, gone.place)

    def set_aside(self, folder: Path) -> Path:
        """The folder under a name of its own, which no slide has."""
        return folder.rename(self.folder / f"{_GONE}{folder.name}-{uuid.uuid4().hex}")

    @staticmethod
    def set_aside_from(folder: Path) -> str | None:
        """What a folder was called before it was set aside; None where it was not."""
        return folder.name.removeprefix(_GONE).rsplit("-", 1)[0] if folder.name.startswith(_GONE) else None

    def used_bytes(self, owner: str) -> int:
        """Bytes of the slides that `owner` has here, and of its uploads that are no slides yet."""
        with self.database.reading() as tx:
            return used_bytes(tx, owner)

    def bytes_left(self, owner: str, more: int) -> int | None:
        """Bytes that `owner` may keep beside what it has; None for as many as the disk holds.

        Raises
        ------
        QuotaError
            If they are fewer than `more`.
        """
        with self.database.reading() as tx:
            check_quota(tx, self.settings, owner, more)
            quota = find_quota(tx, self.settings, owner)
            return None if quota is None else quota - used_bytes(tx, owner)

    def payer(self, owner: str) -> str:
        """For whom the bytes of `owner` count, see `quotas`."""
        with self.database.reading() as tx:
            return find_payer(tx, owner)

    def check_room(self, length: int) -> None:
        """Make sure that `length` more bytes leave the disk the room that analyses need.

        Raises
        ------
        OSError
            With `ENOSPC` if they do not.
        """
        self.kept.make_room(length)
        if shutil.disk_usage(self.folder).free - length < self.settings.min_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
