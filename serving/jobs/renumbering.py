"""Slides of several files that were brought before the rule of ids changed get the id of the present rule.

Under the former rule names and contents were hashed one after the other, so that other files could be made with the same id.
Former ids stay good in addresses and requests, and results stay where they are.
"""

import logging
import os
import shutil
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, Row, delete, insert, select, update

from serving.core.errors import MitoserveError
from serving.jobs.job import decode_options, request_key
from serving.slides.hashing import ID_RULE, slide_sha256
from serving.slides.slidefiles import SlideFiles, slide_files
from serving.store.folder_store import flush, remove_kept
from serving.store.mounted import make_files_stamp
from serving.store.places import SLIDES, TILES, choose_place
from serving.store.slide_rows import DroppedSlide
from serving.store.slides import SlideStore
from serving.store.spool import open_spool
from serving.store.tables import analyses, blobs, former_slide_ids, slide_statistics, slides, uploads

_ONE_FILE = frozenset({".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".vsf", ".png", ".jpg", ".jpeg", ".dcm"})
"""Stored slides that end so are one file, whose id is the same under both rules."""
_log = logging.getLogger("mitoserve.store")


def renumber(store: SlideStore) -> int:
    """Give every slide of the former rule its new id; reads each of several files to the end once. Gives how many got one.

    A slide that cannot be read now keeps its id, and the next start tries again.
    """
    with store.database.reading() as tx:
        rows = tx.execute(select(blobs).where(blobs.c.id_rule < ID_RULE)).all()
    done = 0
    for row in rows:
        if _is_one_file(row):
            _settle(store, row.sha256)
            continue
        try:
            done += _renumber_mounted(store, row) if row.mounted else _renumber_stored(store, row)
        except (MitoserveError, OSError) as error:
            _log.warning("the slide %s... keeps its former id until it can be read: %s", row.sha256[:12], error)
    if done:
        _log.info("%d slides of several files have new ids; the former ones stay good", done)
    return done


def _is_one_file(row: Row[tuple[object, ...]]) -> bool:
    """Whether a stored slide is one file, by its name alone: those in a bucket need not be fetched for it."""
    name = PurePosixPath(row.main).name
    return not row.mounted and (name == "slide" or PurePosixPath(name).suffix.lower() in _ONE_FILE)


def _renumber_stored(store: SlideStore, row: Row[tuple[object, ...]]) -> bool:
    """Store the slide's own files under the new id, as links to the same bytes on this disk, and remove the former folder."""
    former = choose_place(row.sha256, row.main)
    copy = store.kept.new_copy()
    with store.kept.hold(former) as folder, open_spool(store.settings.state / "renumbering") as spool:
        files = _find_files(folder / PurePosixPath(SLIDES, row.sha256, row.main).relative_to(former))
        sha256 = slide_sha256(files.main_path)
        if sha256 == row.sha256:
            _settle(store, sha256)
            return False
        made = spool / "slide"
        made.mkdir(mode=0o700)
        _link(files, made)
        flush(made)
        main = str(PurePosixPath(copy, files.main))
        place = choose_place(sha256, main)
        store.kept.put(made, place)
        with store.database.writing() as tx:
            there = tx.execute(select(blobs.c.sha256).where(blobs.c.sha256 == row.sha256)).first() is not None
            known = tx.execute(select(blobs.c.mounted).where(blobs.c.sha256 == sha256)).scalar()
            if there and known is not False:
                store.kept.settle(made, place)
                tx.execute(delete(blobs).where(blobs.c.sha256 == sha256))
                tx.execute(insert(blobs).values({**row._mapping, "sha256": sha256, "main": main, "id_rule": ID_RULE}))
            if there:
                _move_rows(tx, row.sha256, sha256)
        if not there or known is False:
            remove_kept(store.kept, place)  # another server was quicker, or somebody brought the slide again
    if there:
        _move_tiles(store, row.sha256, sha256)
        left = store.folder / row.sha256
        store.discard(DroppedSlide(row.sha256, store.set_aside(left) if left.exists() else None, former))
    return there


def _renumber_mounted(store: SlideStore, row: Row[tuple[object, ...]]) -> bool:
    """Hash again what lies in the mounted folder, if it is what it was when it was registered."""
    path = Path(row.main)
    if _former_stamp(path) != row.stamp:
        return False
    files = _find_files(path)
    sha256 = slide_sha256(files.main_path)
    stamp = make_files_stamp(files.paths)
    with store.database.writing() as tx:
        there = tx.execute(select(blobs.c.sha256).where(blobs.c.sha256 == row.sha256)).first() is not None
        known = tx.execute(select(blobs.c.sha256).where(blobs.c.sha256 == sha256)).first() is not None
        values = {"sha256": sha256, "main": str(files.main_path), "stamp": stamp, "id_rule": ID_RULE}
        if there and sha256 == row.sha256:
            tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(values))
        elif there:
            if not known:
                tx.execute(insert(blobs).values({**row._mapping, **values}))
            _move_rows(tx, row.sha256, sha256)
    if there and sha256 != row.sha256:
        _move_tiles(store, row.sha256, sha256)
    return there and sha256 != row.sha256


def _move_rows(tx: Connection, former: str, sha256: str) -> None:
    """Let everything that names the slide name it by its new id."""
    owners = select(slides.c.owner).where(slides.c.sha256 == sha256)
    tx.execute(delete(slides).where(slides.c.sha256 == former, slides.c.owner.in_(owners)))
    for table in (slides, uploads):
        tx.execute(update(table).where(table.c.sha256 == former).values(sha256=sha256))
    tx.execute(update(slide_statistics).where(slide_statistics.c.slide == former).values(slide=sha256))
    chosen = select(analyses.c.id, analyses.c.options, analyses.c.request_key).where(analyses.c.sha256 == former)
    for job in tx.execute(chosen).all():
        values = {"sha256": sha256}
        options = decode_options(job.options)
        if job.request_key == request_key(former, options):  # else it is of another release, whose results are not used
            values["request_key"] = request_key(sha256, options)
        tx.execute(update(analyses).where(analyses.c.id == job.id).values(values))
    tx.execute(delete(blobs).where(blobs.c.sha256 == former))
    tx.execute(update(former_slide_ids).where(former_slide_ids.c.sha256 == former).values(sha256=sha256))
    tx.execute(insert(former_slide_ids).values(former=former, sha256=sha256))


def _settle(store: SlideStore, sha256: str) -> None:
    """Note that the id is that of the present rule."""
    with store.database.writing() as tx:
        tx.execute(update(blobs).where(blobs.c.sha256 == sha256).values(id_rule=ID_RULE))


def _move_tiles(store: SlideStore, former: str, sha256: str) -> None:
    """Keep what is known of the slide's tiles."""
    tiles = store.settings.state / TILES
    if (tiles / former).is_dir() and not (tiles / sha256).exists():
        (tiles / former).rename(tiles / sha256)


def _find_files(path: Path) -> SlideFiles:
    """The files of the slide at `path`; in a folder of several DICOM series those of the one that was opened until now."""
    try:
        return slide_files(path)
    except MitoserveError:
        first = min(path.glob("*.dcm"), default=None) if path.is_dir() else None
        if first is None:
            raise
        return slide_files(first)


def _link(files: SlideFiles, folder: Path) -> None:
    for name, path in zip(files.names, files.paths, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        try:
            os.link(path, folder / name)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, folder / name)


def _former_stamp(path: Path) -> str:
    """Sizes and times of the files that the former rule took for the slide's."""
    beside = path.with_suffix("")
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file()]
    elif path.suffix.lower() == ".mrxs" and beside.is_dir():
        files = [path, *(file for file in beside.iterdir() if file.is_file())]
    else:
        files = [path]
    return make_files_stamp(files)
