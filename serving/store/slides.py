"""Slides, each stored once whoever brought it: <state>/slides/<sha256>/, and a row for everyone who did."""

import errno
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from serving.isolation.decoders import LINES, Decoders
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.settings import Settings
from serving.store.database import Database
from serving.store.errors import NotFoundError, SlideInUseError
from serving.store.mounted import check_unchanged, mounted_path, stamp_of
from serving.store.tables import OWN, analyses, blobs, slides
from serving.wsi.hashing import slide_sha256

_GONE = ".gone-"
UNFINISHED = ("queued", "running")
"""States of an analysis that needs its slide."""


@dataclass(frozen=True, slots=True)
class StoredSlide:
    """A slide as its owner sees it."""

    sha256: str
    name: str
    size: int
    width: int
    height: int
    mpp: float | None
    vendor: str
    mounted: bool
    created_at: float
    number: int
    """Position in the owner's list."""


class SlideStore:
    """The slides of one state folder."""

    def __init__(self, database: Database, settings: Settings, decoders: Decoders) -> None:
        self.database, self.settings, self.decoders = database, settings, decoders
        self.folder = settings.state / "slides"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(
        self, folder: Path, main: str, *, owner: str, name: str, sha256: str = "", kept: bool = True
    ) -> StoredSlide:
        """Take over the slide in `folder`, whose file to open is `main`; the folder moves or stays to be removed.

        sha256 : its hash, where it is known already; kept : False for a slide that goes with its last analysis

        Raises
        ------
        MitoserveError
            If it cannot be opened as a slide; then nothing is stored.
        """
        sha256 = sha256 or slide_sha256(folder / main)
        with open_isolated(self.decoders, folder / main, name=name, sha256=sha256) as slide:
            row = _blob(slide, sha256, main, size=_size(folder))
        _flush(folder)
        with self.database.writing() as tx:
            target = self.folder / sha256
            if tx.execute(select(blobs.c.mounted).where(blobs.c.sha256 == sha256)).scalar() is not False:
                shutil.rmtree(target, ignore_errors=True)  # left by a server that died between rename and commit
                folder.rename(target)
            _put(tx, row, owner=owner, name=name, kept=kept)
        return self.get(sha256, owner=owner)

    def mount(self, path_name: str, *, owner: str) -> StoredSlide:
        """Register a slide of the mounted folder, which is read to the end once for its hash.

        Raises
        ------
        MitoserveError
            If the name leads elsewhere, or the file is no slide.
        """
        path = mounted_path(self.settings.slide_root, path_name)
        stamp = stamp_of(path)
        with open_isolated(self.decoders, path, name=path.name) as slide:
            # Only what opens as a slide is worth reading to the end.
            row = _blob(slide, slide_sha256(path), str(path), size=0) | {"mounted": True, "stamp": stamp}
        sha256 = str(row["sha256"])
        with self.database.writing() as tx:
            _put(tx, row, owner=owner, name=path.name, kept=True)
        return self.get(sha256, owner=owner)

    def get(self, sha256: str, *, owner: str | None) -> StoredSlide:
        """The slide as `owner` sees it; as anybody does where None.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with self.database.reading() as tx:
            row = tx.execute(_joined(owner).where(slides.c.sha256 == sha256).limit(1)).first()
        if row is None:
            raise NotFoundError(f"no slide {sha256[:80]!r}; GET /v1/slides lists yours")
        return _stored(row)

    def page(self, *, owner: str | None, after: int, limit: int) -> list[StoredSlide]:
        """Slides behind number `after`, the newest last."""
        chosen = _joined(owner).where(slides.c.number > after).order_by(slides.c.number).limit(limit)
        with self.database.reading() as tx:
            return [_stored(row) for row in tx.execute(chosen)]

    def find_path(self, sha256: str) -> Path | None:
        """Where the slide's main file or folder lies, for formats that refer to it; None if it is not here any more."""
        with self.database.reading() as tx:
            row = tx.execute(select(blobs).where(blobs.c.sha256 == sha256)).first()
        if row is None:
            return None
        return Path(row.main) if row.mounted else self.folder / sha256 / row.main

    def open(self, sha256: str, *, name: str, lines: int = LINES) -> IsolatedSlide:
        """The slide, opened in a process of its own that serves `lines` reads at once.

        Raises
        ------
        NotFoundError, SlideChangedError, MitoserveError
            If it is gone, was changed where it is mounted, or cannot be opened.
        """
        with self.database.reading() as tx:
            row = tx.execute(select(blobs).where(blobs.c.sha256 == sha256)).first()
        if row is None:
            raise NotFoundError(f"the slide {sha256[:12]}... is not stored here any more; upload it again")
        if row.mounted:
            check_unchanged(Path(row.main), row.stamp, name)
            return open_isolated(self.decoders, Path(row.main), name=name, sha256=sha256, lines=lines)
        return open_isolated(self.decoders, self.folder / sha256 / row.main, name=name, sha256=sha256, lines=lines)

    def remove(self, sha256: str, *, owner: str | None) -> None:
        """Forget a slide; its bytes go with the last one who has it.

        Raises
        ------
        NotFoundError
            If there is none.
        SlideInUseError
            If an analysis of the owner's needs it.
        """
        with self.database.writing() as tx:
            mine = (
                slides.c.sha256 == sha256 if owner is None else (slides.c.sha256 == sha256) & (slides.c.owner == owner)
            )
            waiting = (analyses.c.sha256 == sha256) & analyses.c.state.in_(UNFINISHED) & OWN
            if owner is not None:
                waiting &= analyses.c.owner == owner
            if not tx.execute(select(slides.c.number).where(mine)).first():
                raise NotFoundError(f"no slide {sha256[:80]!r}; GET /v1/slides lists yours")
            if tx.execute(select(analyses.c.id).where(waiting).limit(1)).first():
                raise SlideInUseError(
                    "an analysis of this slide is waiting or under way; cancel it or let it end first"
                )
            tx.execute(delete(slides).where(mine))
            gone = self.drop_unowned(tx, sha256)
        discard(gone)

    def drop_unowned(self, tx: Connection, sha256: str) -> Path | None:
        """Forget a blob that nobody has and no analysis needs; gives its folder, for `discard` after the commit."""
        owned = tx.execute(select(slides.c.number).where(slides.c.sha256 == sha256).limit(1)).first()
        needed = tx.execute(
            select(analyses.c.id).where(analyses.c.sha256 == sha256, analyses.c.state.in_(UNFINISHED), OWN).limit(1)
        ).first()
        if owned or needed or not tx.execute(delete(blobs).where(blobs.c.sha256 == sha256)).rowcount:
            return None
        folder = self.folder / sha256
        return self.set_aside(folder) if folder.exists() else None

    def set_aside(self, folder: Path) -> Path:
        """The folder under a name of its own, which no slide has."""
        return folder.rename(self.folder / f"{_GONE}{folder.name}-{uuid.uuid4().hex}")

    @staticmethod
    def set_aside_from(folder: Path) -> str | None:
        """What a folder was called before it was set aside; None where it was not."""
        return folder.name.removeprefix(_GONE).rsplit("-", 1)[0] if folder.name.startswith(_GONE) else None

    def bytes_of(self, owner: str) -> int:
        """Bytes of the slides that `owner` has here."""
        joined = select(func.sum(blobs.c.size)).join_from(slides, blobs, slides.c.sha256 == blobs.c.sha256)
        with self.database.reading() as tx:
            return int(tx.execute(joined.where(slides.c.owner == owner)).scalar() or 0)

    def check_room(self, length: int) -> None:
        """Make sure that `length` more bytes leave the disk the room that analyses need.

        Raises
        ------
        OSError
            With `ENOSPC` if they do not.
        """
        if shutil.disk_usage(self.folder).free - length < self.settings.min_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def discard(folder: Path | None) -> None:
    """Remove a folder that no row names any more."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _joined(owner: str | None) -> Select[Any]:
    chosen = select(slides, blobs).join_from(slides, blobs, slides.c.sha256 == blobs.c.sha256)
    return chosen if owner is None else chosen.where(slides.c.owner == owner)


def _stored(row: Row[Any]) -> StoredSlide:
    found = row._mapping
    names = ("sha256", "name", "created_at", "number")
    return StoredSlide(
        **{name: found[slides.c[name]] for name in names},
        **{name: found[blobs.c[name]] for name in ("size", "width", "height", "mpp", "vendor", "mounted")},
    )


def _blob(slide: IsolatedSlide, sha256: str, main: str, *, size: int) -> dict[str, object]:
    return {
        "sha256": sha256,
        "size": size,
        "main": main,
        "mounted": False,
        "stamp": "",
        "width": slide.width,
        "height": slide.height,
        "mpp": slide.mpp,
        "vendor": slide.vendor[:80],
        "used_at": time.time(),
    }


def _put(tx: Connection, row: dict[str, object], *, owner: str, name: str, kept: bool) -> None:
    """Insert or renew the rows; a stored blob stays stored when it is mounted too."""
    sha256 = row["sha256"]
    known = tx.execute(select(blobs.c.mounted).where(blobs.c.sha256 == sha256)).scalar()
    if known is None:
        tx.execute(insert(blobs).values(row))
    elif known:
        tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(row))
    else:
        tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(used_at=row["used_at"]))
    mine = (slides.c.owner == owner) & (slides.c.sha256 == sha256)
    if tx.execute(select(slides.c.number).where(mine)).first() is None:
        values = {"owner": owner, "sha256": sha256, "name": name, "kept": kept, "created_at": time.time()}
        tx.execute(insert(slides).values(values))
    elif kept:
        tx.execute(update(slides).where(mine).values(kept=True, name=name))
    else:
        tx.execute(update(slides).where(mine, ~slides.c.kept).values(name=name, created_at=time.time()))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _flush(folder: Path) -> None:
    """Make sure that the disk has what a row is about to promise."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
