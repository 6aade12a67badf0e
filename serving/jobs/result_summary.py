"""What lists show of a result, beside the analysis in the table, so that no list reads results."""

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from serving.core.report import Report
from serving.jobs.job import ResultLostError
from serving.jobs.result_cache import note_lost
from serving.jobs.results import read_report
from serving.store.database import Database
from serving.store.folder_store import FolderStore
from serving.store.tables import OWN, analyses

_log = logging.getLogger("mitoserve.results")


@dataclass(frozen=True, slots=True)
class ResultSummary:
    """A result in a few numbers and words.

    figures : the model's, at the analysis's own threshold
    density : figures per mm2 of tissue; None without tissue
    tissue_mm2 : mm2
    warnings : in words
    models : name@version of each
    """

    figures: int
    density: float | None
    tissue_mm2: float
    warnings: tuple[str, ...]
    models: tuple[str, ...]

    def columns(self) -> dict[str, Any]:
        """As the table of analyses keeps it: what it is sorted and searched by has columns of its own."""
        kept = {"tissue_mm2": self.tissue_mm2, "warnings": self.warnings, "models": self.models}
        return {
            "figures": self.figures,
            "density": self.density,
            "warned": len(self.warnings),
            "summary": json.dumps(kept),
        }


def summarize(report: Report) -> ResultSummary:
    """What lists show of a report."""
    counts = report.counts
    return ResultSummary(
        figures=counts.mitotic_figures,
        density=counts.per_mm2,
        tissue_mm2=counts.tissue_area_mm2,
        warnings=tuple(report.warnings),
        models=tuple(f"{model.name}@{model.version}" for model in report.used_models),
    )


def decode_summary(*, figures: int | None, density: float | None, summary: str | None) -> ResultSummary | None:
    """The summary of a row; None where there is none."""
    if figures is None or summary is None:
        return None
    kept = json.loads(summary)
    return ResultSummary(figures, density, kept["tissue_mm2"], tuple(kept["warnings"]), tuple(kept["models"]))


def fill_summaries(database: Database, kept: FolderStore, stop: threading.Event | None = None) -> int:
    """Summarize the results that nobody has summarized, those of releases that kept no summaries; gives how many.

    stop : ends it between two results
    """
    missing = OWN & (analyses.c.state == "succeeded") & analyses.c.result.is_not(None) & analyses.c.summary.is_(None)
    with database.reading() as tx:
        results = tx.execute(select(analyses.c.result).where(missing).distinct()).scalars().all()
    filled = 0
    for result in results:
        if stop is not None and stop.is_set():
            break
        try:
            columns = summarize(read_report(kept, result)).columns()
        except ResultLostError:
            note_lost(database, kept, result)
            continue
        except ValueError as error:  # whole, and of another release: lists show it without a summary
            _log.warning("result %s is not summarized: %s", result, type(error).__name__)
            continue
        with database.writing() as tx:
            tx.execute(update(analyses).where(analyses.c.result == result).values(columns))
        filled += 1
    if filled:
        _log.info("%d results are summarized for lists", filled)
    return filled
