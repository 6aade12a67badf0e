"""Results that are known already, and those that were known and are lost."""

import logging
import time
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, select, update

from serving.jobs.job import LOST, AnalysisJob, ResultLostError
from serving.jobs.results import check_result
from serving.store.database import Database
from serving.store.folder_store import FolderStore
from serving.store.tables import analyses

_log = logging.getLogger("mitoserve.results")


def find_cached(tx: Connection, job: AnalysisJob, models_key: str | None) -> AnalysisJob | None:
    """The job ended with a result that these models have given its owner already; None where there is none.

    A result of another owner's would tell that somebody else has the slide.
    """
    row = tx.execute(select(analyses).where(_same(job.owner, job.request_key, models_key)).limit(1)).first()
    if row is None or models_key is None:
        return None
    now = time.time()
    return replace(
        job,
        state="succeeded",
        started_at=job.started_at or now,
        finished_at=now,
        tiles_done=row.tiles_done,
        tiles_total=row.tiles_total,
        result=row.result,
        models_key=models_key,
        figures=row.figures,
        density=row.density,
        warned=row.warned,
        summary=row.summary,
    )


def drop_lost(database: Database, kept: FolderStore, owner: str, request_key: str, models_key: str | None) -> None:
    """Make sure that what `find_cached` will give is there and undamaged; takes as long as reading it, so no transaction waits."""
    while models_key is not None:
        with database.reading() as tx:
            chosen = select(analyses.c.result).where(_same(owner, request_key, models_key)).limit(1)
            result = tx.execute(chosen).scalar()
        if result is None or is_intact(database, kept, result):
            return


def is_intact(database: Database, kept: FolderStore, result: str) -> bool:
    """Whether a result is there and undamaged; one that is not is noted as lost."""
    try:
        check_result(kept, result)
    except ResultLostError:
        note_lost(database, kept, result)
        return False
    return True


def note_lost(database: Database, kept: FolderStore, result: str) -> None:
    """Note that a result is lost: it is given to nobody any more, and who asks for the same again has it computed again.

    Raises
    ------
    BusyError
        If the place of results is out of reach: then nothing is lost.
    """
    kept.check()
    values = {"result": None, "problem": ResultLostError.slug, "detail": LOST}
    with database.writing() as tx:
        number = tx.execute(update(analyses).where(analyses.c.result == result).values(values)).rowcount
    if number:
        _log.error(
            "the result %s of %d analyses is lost or damaged; it is computed again when asked for", result, number
        )


def _same(owner: str, request_key: str, models_key: str | None) -> ColumnElement[bool]:
    same = (analyses.c.owner == owner) & (analyses.c.request_key == request_key) & (analyses.c.models_key == models_key)
    return same & (analyses.c.state == "succeeded") & analyses.c.result.is_not(None)
