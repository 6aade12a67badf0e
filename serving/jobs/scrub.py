"""Reads everything that a server keeps and says what is damaged or lost."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import select, text, true

from serving.core.errors import MitoserveError
from serving.jobs.findings_format import unpack_findings
from serving.jobs.job import ResultLostError
from serving.jobs.result_cache import note_lost
from serving.jobs.results import check_result
from serving.jobs.retention import find_orphans
from serving.store.checksums import DamagedError, states_sum
from serving.store.places import CHECKPOINTS, RESULTS, TILES, result_names
from serving.store.slides import SlideStore
from serving.store.tables import blobs

Kind = Literal["database", "slide", "result", "tiles", "stray"]
SEVERE: tuple[Kind, ...] = ("database", "slide", "result")
"""Of these something is lost until it is brought or computed again."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written."""

    kind: Kind
    name: str
    """Of the folder or file, as in the state folder."""
    detail: str
    repaired: bool


@dataclass(slots=True)
class ScrubTally:
    """How much was read."""

    slides: int = 0
    results: int = 0
    unsealed: int = 0
    """Results of earlier releases, which have no checksums."""
    findings: int = 0
    """Files of findings of tiles: of the tile cache, and checkpoints."""


def scrub(
    store: SlideStore, tally: ScrubTally, *, repair: bool, step: Callable[[], None] = lambda: None
) -> Iterator[Finding]:
    """Every fault that there is; `tally` counts what was read, and `step` is called after each thing.

    repair : note results that are lost, so that they are computed again, and delete damaged findings of tiles. A damaged slide
        is noted in any case: the next upload of it takes its place.

    Raises
    ------
    BusyError
        If the database, the state folder or the object store is out of reach.
    """
    store.kept.check()
    yield from _database(store)
    yield from _slides(store, tally, step)
    yield from _results(store, tally, step, repair=repair)
    yield from _findings(store, tally, step, repair=repair)
    with store.database.reading() as tx:
        orphans, _ = find_orphans(store, tx)
    for path in orphans:
        yield Finding(
            "stray", str(path.relative_to(store.settings.state)), "no row of the database names it", repaired=False
        )


def count(store: SlideStore) -> int:
    """How many steps `scrub` will take, about."""
    with store.database.reading() as tx:
        slides = len(tx.execute(select(blobs.c.sha256)).all())
        return slides + len(result_names(tx, true())) + len(_files(store))


def _database(store: SlideStore) -> Iterator[Finding]:
    if store.database.path is None:
        return  # PostgreSQL checks its own pages: initdb --data-checksums
    with store.database.reading() as tx:
        said = [str(row[0]) for row in tx.execute(text("PRAGMA integrity_check(20)"))]
    for line in said:
        if line != "ok":
            yield Finding("database", store.database.path.name, line[:200], repaired=False)


def _slides(store: SlideStore, tally: ScrubTally, step: Callable[[], None]) -> Iterator[Finding]:
    with store.database.reading() as tx:
        ids = tx.execute(select(blobs.c.sha256).order_by(blobs.c.used_at)).scalars().all()
    for sha256 in ids:
        store.files.forget_stamp(sha256)  # bits may be lost without a write
        try:
            store.files.check_intact(sha256)
        except MitoserveError as error:
            yield Finding("slide", f"slides/{sha256}", str(error), repaired=False)
        tally.slides += 1
        step()


def _results(store: SlideStore, tally: ScrubTally, step: Callable[[], None], *, repair: bool) -> Iterator[Finding]:
    with store.database.reading() as tx:
        names = result_names(tx, true())
    for name in names:
        folder, _, result = name.partition("/")
        tally.unsealed += not states_sum(result)
        try:
            check_result(store.kept, result, folder=folder)
        except ResultLostError:
            if repair and folder == RESULTS:
                note_lost(store.database, store.kept, result)
            yield Finding("result", name, "lost or damaged; submit its analysis again", repaired=repair)
        tally.results += 1
        step()


def _findings(store: SlideStore, tally: ScrubTally, step: Callable[[], None], *, repair: bool) -> Iterator[Finding]:
    for path in _files(store):
        try:
            unpack_findings(path.read_bytes())
        except FileNotFoundError:  # its analysis ended meanwhile
            continue
        except (DamagedError, OSError) as error:
            if repair:
                with suppress(OSError):
                    path.unlink()
            name = str(path.relative_to(store.settings.state))
            yield Finding("tiles", name, f"{error}; computed again when needed", repaired=repair)
        tally.findings += 1
        step()


def _files(store: SlideStore) -> list[Path]:
    roots = (store.kept.root / CHECKPOINTS, store.settings.state / TILES)
    return [path for root in roots for path in sorted(root.rglob("[!.]*.npz"))]
