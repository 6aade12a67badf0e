"""Deletes what is over: uploads that expired, slides by retention, analyses that are old, and late what no row names."""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath

from sqlalchemy import Connection, func, select

from serving.core.errors import BusyError
from serving.jobs.result_summary import fill_summaries
from serving.jobs.table import remove_rows
from serving.store.clock_jumps import ClockJumpDetector
from serving.store.database import Database
from serving.store.folder_store import discard_folders
from serving.store.orphans import OrphanTracker, fingerprint_folder
from serving.store.places import CHECKPOINTS, RESULTS, SHADOWS, SLIDES, TILES, UPLOADS, list_kept_names
from serving.store.resumable import Uploads
from serving.store.retention import sweep
from serving.store.slide_rows import UNFINISHED
from serving.store.slides import SlideStore
from serving.store.tables import analyses, blobs, shadows, uploads

SWEEP_S = 60.0
LOOK_S = 3600.0
"""Between two looks for objects that are left over."""
_log = logging.getLogger("mitoserve.retention")


class Sweeper:
    """Sweeps once a minute, in a thread of its own."""

    def __init__(self, store: SlideStore, uploads: Uploads) -> None:
        self._store, self._uploads = store, uploads
        state = store.settings.state
        self._leaps = ClockJumpDetector(state / "clock.json", lambda: newest_time(store.database))
        self._orphans, self._look_again = OrphanTracker(state / "strays.json"), 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep that is under way."""
        self._stop.set()
        self._thread.join()

    def sweep(self) -> None:
        """Delete all that may go now; nothing for a while after the clock leapt."""
        if self._leaps.resting():
            return
        now = time.time()
        self._uploads.sweep(now)
        sweep(self._store, now)
        sweep_analyses(self._store, now)
        sweep_orphans(self._store, self._orphans, now)
        if time.monotonic() >= self._look_again:
            gone = self._store.kept.sweep(lambda: make_reference_check(self._store))
            self._look_again = time.monotonic() + LOOK_S
            if gone:
                _log.info("%d folders were left over and are deleted", len(gone))

    def _run(self) -> None:
        with contextlib.suppress(
            BusyError, OSError
        ):  # it is for lists alone, and tried again when the server starts again
            fill_summaries(self._store.database, self._store.kept, self._stop)
        while not self._stop.wait(SWEEP_S):
            try:
                self._store.kept.make_room(0)
                self.sweep()
            except (BusyError, OSError) as error:
                _log.warning("retention has to wait: %s", error)


def sweep_analyses(store: SlideStore, now: float) -> None:
    """Remove analyses that ended long ago with their results, and checkpoints of what has ended."""
    with store.database.writing() as tx:
        old = analyses.c.finished_at < now - store.settings.keep_analyses_s
        ended = ~analyses.c.state.in_(UNFINISHED)
        left = remove_rows(tx, tx.execute(select(analyses.c.id).where(old, ended)).scalars().all())
        over = select(shadows.c.number).where(shadows.c.state != "running")
        unbegun = analyses.c.shadow.in_(over) & (analyses.c.state == "queued")
        left += remove_rows(tx, tx.execute(select(analyses.c.id).where(unbegun)).scalars().all())
        done = set(tx.execute(select(analyses.c.id).where(ended)).scalars())
    discard_folders(store.kept, left)
    for path in _folders(store.kept.root / CHECKPOINTS):
        if path.name in done:
            shutil.rmtree(path, ignore_errors=True)


def find_orphans(store: SlideStore, tx: Connection) -> tuple[list[Path], int]:
    """Folders that no row names, and how many folders there are: of slides, results, checkpoints, tiles and uploads.

    What a running analysis has just written has its name.
    """
    root, state = store.kept.root, store.settings.state
    stored = set(tx.execute(select(blobs.c.sha256).where(~blobs.c.mounted)).scalars())
    known = set(tx.execute(select(blobs.c.sha256)).scalars())
    results = set(tx.execute(select(analyses.c.result).where(analyses.c.result.is_not(None))).scalars())
    active = set(tx.execute(select(analyses.c.id).where(analyses.c.state.in_(UNFINISHED))).scalars())
    begun = set(tx.execute(select(uploads.c.id).where(uploads.c.sha256.is_(None))).scalars())
    named: dict[Path, Callable[[Path], bool]] = {
        root / SLIDES: lambda path: path.name in stored,
        root / RESULTS: lambda path: path.name in results or _job(path) in active,
        root / SHADOWS: lambda path: path.name in results or _job(path) in active,
        root / CHECKPOINTS: lambda path: path.name in active,
        state / TILES: lambda path: path.name in known,
        state / UPLOADS: lambda path: path.name in begun,
    }
    found = [(path, is_named(path)) for folder, is_named in named.items() for path in _folders(folder)]
    return [path for path, is_named in found if not is_named], len(found)


def sweep_orphans(store: SlideStore, watch: OrphanTracker, now: float) -> list[Path]:
    """Delete folders that no row names, if `watch` lets them go; gives which.

    With an object store what lies here are copies, and those of what others deleted go at once.
    """
    state = store.settings.state
    with store.database.writing() as tx:
        orphans, total = find_orphans(store, tx)
        names = {str(path.relative_to(state)): path for path in orphans}
        copies = [] if store.settings.objects is None else [path for path in orphans if path.parent.name != UPLOADS]
        looks = {name: fingerprint_folder(path) for name, path in names.items() if path not in copies}
        going = [*copies, *(names[name] for name in watch.due(looks, total=total, now=now))]
        # Set aside inside the transaction, so that none is taken for a slide that arrives next.
        gone = [store.set_aside(path) if path.parent == store.folder else path for path in going]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    if gone:
        _log.info("%d folders that no row names are deleted", len(gone))
    return going


def newest_time(database: Database) -> float | None:
    """The newest time, seconds since 1970, that the tables hold of slides and analyses."""
    times = (blobs.c.used_at, analyses.c.created_at, analyses.c.finished_at)
    with database.reading() as tx:
        found = [tx.execute(select(func.max(column))).scalar() for column in times]
    return max((at for at in found if at is not None), default=None)


def make_reference_check(store: SlideStore) -> Callable[[str], bool]:
    """Says of the name of a folder that is kept whether a row names it, or an analysis under way may be about to."""
    with store.database.reading() as tx:
        named = set(list_kept_names(tx))
        active = set(tx.execute(select(analyses.c.id).where(analyses.c.state.in_(UNFINISHED))).scalars())
    return lambda name: name in named or _job(PurePosixPath(name)) in active


def _folders(root: Path) -> list[Path]:
    """Its folders; those of slides that were set aside are on their way out."""
    found = list(root.iterdir()) if root.is_dir() else []
    return [path for path in found if SlideStore.set_aside_from(path) is None]


def _job(result: PurePath) -> str:
    """The analysis that a folder of results, whole or not, or of checkpoints is named after."""
    return result.name.removeprefix(".").split("-")[0]
