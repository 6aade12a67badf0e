"""What is deleted, and when: slides unused for long, the longest unused beyond the budget, and what a server left that died."""

import logging
import shutil
from pathlib import Path

from sqlalchemy import Connection, delete, exists, func, select

from serving.store.slide_rows import UNFINISHED, DroppedSlide
from serving.store.slides import SlideStore
from serving.store.tables import OWN, analyses, blobs, slides

GRACE_S = 600.0
"""A slide that goes with its analysis is kept so long without one: between its upload and its analysis."""

_log = logging.getLogger("mitoserve.store")


def sweep(store: SlideStore, now: float) -> list[str]:
    """Delete what retention allows to; gives the hashes of the slides that went. Pinned slides never go."""
    settings, names = store.settings, []
    gone: list[DroppedSlide | None] = []
    pinned = exists().where(analyses.c.sha256 == slides.c.sha256, analyses.c.state.in_(UNFINISHED), OWN)
    with store.database.writing() as tx:
        old = select(blobs.c.sha256).where(blobs.c.used_at < now - settings.keep_slides_s)
        tx.execute(delete(slides).where(slides.c.sha256.in_(old), ~pinned))
        tx.execute(delete(slides).where(~slides.c.kept, slides.c.created_at < now - GRACE_S, ~pinned))
        unowned = select(blobs.c.sha256).where(~exists().where(slides.c.sha256 == blobs.c.sha256))
        for sha256 in tx.execute(unowned).scalars().all():
            gone.append(store.drop_unowned(tx, sha256))
            names.append(sha256)
        names += _within_budget(store, tx, gone)
        left = _set_aside(store, tx)
    for dropped in gone:
        store.discard(dropped)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    if names:
        _log.info("%d slides were deleted by retention", len(names))
    return names


def _within_budget(store: SlideStore, tx: Connection, gone: list[DroppedSlide | None]) -> list[str]:
    """Forget slides, the longest unused first, until the others fit."""
    if not store.settings.disk_budget_bytes:
        return []
    over = int(tx.execute(select(func.sum(blobs.c.size))).scalar() or 0) - store.settings.disk_budget_bytes
    pinned = exists().where(analyses.c.sha256 == blobs.c.sha256, analyses.c.state.in_(UNFINISHED), OWN)
    oldest = select(blobs.c.sha256, blobs.c.size).where(~pinned, ~blobs.c.mounted).order_by(blobs.c.used_at)
    names = []
    for sha256, size in tx.execute(oldest).all():
        if over <= 0:
            break
        tx.execute(delete(slides).where(slides.c.sha256 == sha256))
        gone.append(store.drop_unowned(tx, sha256))
        names.append(sha256)
        over -= size
    return names


def _set_aside(store: SlideStore, tx: Connection) -> list[Path]:
    """Folders of slides that were forgotten, whose server died before it removed them.

    One that was set aside by a transaction that was then undone comes back.
    """
    stored = set(tx.execute(select(blobs.c.sha256).where(~blobs.c.mounted)).scalars())
    found = []
    for path in store.folder.iterdir():
        sha256 = SlideStore.set_aside_from(path)
        if sha256 is not None and sha256 in stored and not (store.folder / sha256).exists():
            path.rename(store.folder / sha256)
        elif sha256 is not None:
            found.append(path)
    return found
