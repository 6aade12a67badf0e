"""Deletes what is over: uploads that expired, slides by retention, analyses that are old, folders that no row names."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath

from sqlalchemy import select

from serving.jobs.table import remove_rows
from serving.jobs.tile_cache import FOLDER as TILES
from serving.store.places import CHECKPOINTS, RESULTS, SHADOWS, kept_names
from serving.store.resumable import Uploads
from serving.store.retention import SteadyClock, sweep
from serving.store.slides import UNFINISHED, SlideStore
from serving.store.tables import analyses, blobs, shadows
from serving.wsi.errors import BusyError

SWEEP_S = 60.0
LOOK_S = 3600.0
"""Between two looks for objects that are left over: what both find alike goes, so nobody may write one for longer."""
AFTER_JUMP_S = 3600.0
"""After the clock was set, nothing is deleted for its age for so long: a wrong time may be put right."""

_log = logging.getLogger("mitoserve.retention")


class Sweeper:
    """Sweeps once a minute, in a thread of its own."""

    def __init__(self, store: SlideStore, uploads: Uploads) -> None:
        self._store, self._uploads = store, uploads
        self._clock, self._rest_until, self._look_again = SteadyClock(), 0.0, 0.0
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
        """Delete all that may go now; nothing for its age within an hour after the clock was set."""
        if self._clock.jumped():
            self._rest_until = time.monotonic() + AFTER_JUMP_S
            _log.warning("the clock was set; nothing is deleted for its age for %g s", AFTER_JUMP_S)
        if time.monotonic() < self._rest_until:
            return
        now = time.time()
        self._uploads.sweep(now)
        sweep(self._store, now)
        sweep_analyses(self._store, now)

    def look(self) -> None:
        """Delete objects that were left over, and copies beyond what they may take; neither asks the clock."""
        self._store.kept.make_room(0)
        if time.monotonic() >= self._look_again:
            gone = self._store.kept.sweep(lambda: wanted(self._store))
            self._look_again = time.monotonic() + LOOK_S
            if gone:
                _log.info("%d folders were left over and are deleted", len(gone))

    def _run(self) -> None:
        while not self._stop.wait(SWEEP_S):
            try:
                self.sweep()
                self.look()
            except (BusyError, OSError) as error:
                _log.warning("retention has to wait: %s", error)


def sweep_analyses(store: SlideStore, now: float) -> None:
    """Remove analyses that ended long ago, results that no analysis has, checkpoints of what has ended, tiles of slides that are gone."""
    root, settings = store.kept.root, store.settings
    with store.database.writing() as tx:
        old = analyses.c.finished_at < now - settings.keep_analyses_s
        remove_rows(tx, tx.execute(select(analyses.c.id).where(old, ~analyses.c.state.in_(UNFINISHED))).scalars().all())
        ended = select(shadows.c.number).where(shadows.c.state != "running")
        left = analyses.c.shadow.in_(ended) & (analyses.c.state == "queued")
        remove_rows(tx, tx.execute(select(analyses.c.id).where(left)).scalars().all())
        results = set(tx.execute(select(analyses.c.result).where(analyses.c.result.is_not(None))).scalars())
        active = set(tx.execute(select(analyses.c.id).where(analyses.c.state.in_(UNFINISHED))).scalars())
        known = set(tx.execute(select(blobs.c.sha256)).scalars())
        # What a running analysis has just written has its name; anything else is left over.
        kept = [*_folders(root / RESULTS), *_folders(root / SHADOWS)]
        strays = [path for path in kept if path.name not in results and _job(path) not in active]
        strays += [path for path in _folders(root / CHECKPOINTS) if path.name not in active]
    strays += [path for path in _folders(settings.state / TILES) if path.name not in known]
    for path in strays:
        shutil.rmtree(path, ignore_errors=True)


def wanted(store: SlideStore) -> Callable[[str], bool]:
    """Says of the name of a folder that is kept whether a row names it, or an analysis under way may be about to."""
    with store.database.reading() as tx:
        named = set(kept_names(tx))
        active = set(tx.execute(select(analyses.c.id).where(analyses.c.state.in_(UNFINISHED))).scalars())
    return lambda name: name in named or _job(PurePosixPath(name)) in active


def _folders(root: Path) -> list[Path]:
    return list(root.iterdir()) if root.is_dir() else []


def _job(result: PurePath) -> str:
    """The analysis that a folder of results, whole or not, or of checkpoints is named after."""
    return result.name.removeprefix(".").split("-")[0]
