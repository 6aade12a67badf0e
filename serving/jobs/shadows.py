"""What a shadow repeats: analyses of nobody's, in the same table, by the same leases and checkpoints, and apart in all else.

A shadow's analysis begins only while nobody's own waits or runs here, and gives way as soon as one does. Its result lies in
a folder of its own, is in no list and no count, and goes with the analysis that it repeats.
"""

import hashlib
import time
import uuid
from collections.abc import Iterator

from pydantic import ValidationError
from sqlalchemy import Connection, select

from serving.comparison.pair import NEARLY, Pair, apply_threshold, compare
from serving.core.options import ScoringOptions
from serving.jobs.job import AnalysisJob, ResultLostError, decode_options
from serving.jobs.results import load_result, read_result, save_result
from serving.jobs.table import PRIORITIES, count_states, put_row
from serving.registry.shadows import running_shadow
from serving.scoring.analysis import Analysis
from serving.scoring.detector import AnyDetector, counting_threshold, list_cards
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.folder_store import FolderStore
from serving.store.places import SHADOWS
from serving.store.slides import SlideStore
from serving.store.tables import OWN, analyses, slides

NOBODY = ""
"""Owner of a shadow's analyses: no principal is called so."""
FAULTS = 5
_PAIR = "pair.json"


def find_owner(database: Database, job: AnalysisJob) -> str:
    """Whose analysis it is; of one that repeats another for a shadow, whose that is."""
    if job.shadow_of is None:
        return job.owner
    with database.reading() as tx:
        return tx.execute(select(analyses.c.owner).where(analyses.c.id == job.shadow_of)).scalar() or job.owner


def queue_shadow(tx: Connection, job: AnalysisJob) -> None:
    """Put what has just succeeded into the shadow's line, if a shadow runs and wants it.

    A slide that goes with its analyses is not kept for a shadow's sake. What somebody scored with a release of their choice says nothing
    of the one that serves.
    """
    shadow = running_shadow(tx)
    if shadow is None or not shadow.repeats(job.id) or decode_options(job.options).release is not None:
        return
    kept = (slides.c.owner == job.owner) & (slides.c.sha256 == job.sha256) & slides.c.kept
    if tx.execute(select(slides.c.number).where(kept)).first() is None:
        return
    repeated = AnalysisJob(
        id=uuid.uuid4().hex,
        owner=NOBODY,
        sha256=job.sha256,
        name=job.name,
        options=job.options,
        priority=PRIORITIES[0],
        created_at=time.time(),
        # Never that of somebody's own: no result is shared and nobody waits for a twin.
        request_key=hashlib.sha256(f"{job.request_key} shadow {shadow.number}".encode()).hexdigest(),
        shadow_of=job.id,
        shadow=shadow.number,
    )
    put_row(tx, repeated)


def shadow_options(options: ScoringOptions, detector: AnyDetector) -> ScoringOptions:
    """The options of the analysis, but faint detections are kept too, to tell what moved over the threshold."""
    return options.model_copy(update={"threshold": NEARLY * _threshold(options, detector)})


def save_pair(
    repeated: Analysis,
    options: ScoringOptions,
    detector: AnyDetector,
    *,
    store: SlideStore,
    job: AnalysisJob,
    stem: str,
) -> str:
    """Compare a shadow's analysis with the one that it repeats, and keep both what it found and how they compare.

    options : of the analysis that is repeated. stem : begins the name of the new folder, which is given

    Raises
    ------
    NotFoundError, ResultLostError
        If that one, or its result, is gone.
    OSError
        If the disk is full.
    """
    with store.database.reading() as tx:
        result = tx.execute(select(analyses.c.result).where(analyses.c.id == job.shadow_of)).scalar()
    if result is None:
        raise NotFoundError("the analysis that this repeats is gone")
    first = load_result(store.kept, result, slide_name=job.name)
    applied = first.report.models[-1].thresholds["detection"]
    threshold = _threshold(options, detector)
    pair = compare(first, repeated, thresholds=(applied, threshold))
    more = {_PAIR: pair.model_dump_json().encode()}
    return save_result(apply_threshold(repeated, threshold), store.kept, stem, folder=SHADOWS, more=more)


class ShadowRecord:
    """What the shadows of one database have gathered."""

    def __init__(self, database: Database, kept: FolderStore) -> None:
        self._database, self._kept = database, kept

    def counts(self, number: int) -> dict[str, int]:
        """How many analyses of a shadow there are in each state."""
        with self._database.reading() as tx:
            return count_states(tx, analyses.c.shadow == number)

    def faults(self, number: int) -> list[str]:
        """Why the latest of those failed that did."""
        failed = (analyses.c.shadow == number) & (analyses.c.state == "failed")
        chosen = select(analyses.c.detail).where(failed).order_by(analyses.c.number.desc()).limit(FAULTS)
        with self._database.reading() as tx:
            return [str(detail) for detail in tx.execute(chosen).scalars()]

    def pairs(self, number: int) -> Iterator[tuple[str, Pair]]:
        """Each analysis that a shadow has repeated, by its id, with how both compare; the oldest first."""
        done = (analyses.c.shadow == number) & (analyses.c.state == "succeeded")
        chosen = select(analyses.c.shadow_of, analyses.c.result).where(done).order_by(analyses.c.number)
        with self._database.reading() as tx:
            rows = tx.execute(chosen).all()
        for row in rows:
            try:
                content = read_result(self._kept, row.result, folder=SHADOWS, only=(_PAIR,))
                pair = Pair.model_validate_json(content[_PAIR])
            except (ResultLostError, KeyError, ValidationError):
                continue  # removed meanwhile, damaged, or written by another release
            yield row.shadow_of, pair


def has_waiting(tx: Connection, worker: str) -> bool:
    """Whether an analysis that somebody asked for waits anywhere, or runs on this worker."""
    mine = (analyses.c.state == "queued") | ((analyses.c.state == "running") & (analyses.c.worker == worker))
    return tx.execute(select(analyses.c.id).where(mine, OWN).limit(1)).first() is not None


def _threshold(options: ScoringOptions, detector: AnyDetector) -> float:
    return options.threshold if options.threshold is not None else counting_threshold(list_cards(detector))
