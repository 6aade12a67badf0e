"""What a worker does: it holds the models, brings one slide after the other to hand, scores it, and keeps the report."""

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving import __version__
from serving.cohort.errors import SlideProblem, describe_problem
from serving.cohort.layout import FILES, list_folder, pack_report, read_report, report_name
from serving.cohort.manifest import ManifestEntry, parse_file_name
from serving.cohort.scratch import common_folder, scratch
from serving.cohort.sources import UNKNOWN, SourceFile, Sources
from serving.cohort.storage import open_storage
from serving.cohort.tables import TableMember, write_part
from serving.core.geometry import parse_roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.scoring.analysis import Analysis
from serving.scoring.batch_sizes import find_rounding, use_cores
from serving.scoring.detector import list_released_cards
from serving.scoring.loading import load_release
from serving.scoring.report_identity import answers
from serving.scoring.slide_runner import SlideRun, SlideRunner
from serving.settings import ServerSettings
from serving.slides.companions import check_folder
from serving.slides.hashing import slide_sha256
from serving.store.blob_store import Blob
from serving.store.decoding import open_decoders
from serving.store.dicomweb import Credential

MEMORY_WAIT_S = 600.0
"""That a worker waits while others on its machine have the memory of all decoders: nobody waits for an answer of its own."""

_log = logging.getLogger("mitoserve.cohort")

ModelFiles = Mapping[str, Mapping[str, NDArray[np.uint8]]]
"""The files of each model of a release, by the model's name and the file's."""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What all slides of a cohort share.

    formats : of `EXPORTS`, written for each slide beside its report
    threads : processors that one worker computes on
    """

    results: str
    options: ScoringOptions
    formats: tuple[str, ...] = ()
    providers: tuple[str, ...] | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class SlideTask:
    """A slide to score. facts : what is known of its file; kept : the report that is there already."""

    entry: ManifestEntry
    facts: SourceFile = UNKNOWN
    kept: Blob | None = None


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """How a task ended. state : `kept` where a valid report was there already."""

    slide: str
    state: Literal["scored", "kept", "failed"]
    problem: SlideProblem | None = None
    tiles: int = 0
    seconds: float = 0.0


class SlideWorker(SlideRun):
    """One process with its models, decoders and folder for slides that are fetched."""

    def __init__(self, order: WorkOrder, models: ModelFiles) -> None:
        """Load the models.

        Raises
        ------
        ModelError
            If they do not load on this machine.
        """
        use_cores(order.threads)
        settings = ServerSettings.from_environment()
        self._order, self._results = order, open_storage(order.results)
        self._open = ExitStack()
        folder = self._open.enter_context(scratch(settings.scratch))
        self._detector = load_release(_unpack_models(models, folder), providers=order.providers)
        self._cards, self._rounded = list_released_cards(self._detector), find_rounding(self._detector.provider)
        # Of the same total: the file's bytes stand for parts of it.
        place = common_folder(f"decoders-{settings.decoders_memory_bytes}")
        decoders = open_decoders(settings, folder=place, wait_s=MEMORY_WAIT_S)
        self._open.callback(decoders.close)
        self._runner = SlideRunner(decoders)
        credential = Credential(settings.dicomweb_token, settings.dicomweb_hosts)
        self._sources = Sources(folder, max_bytes=settings.max_upload_bytes, credential=credential)
        self._open.callback(self._sources.close)
        self._tiles = 0

    def ready(self) -> dict[str, str]:
        """What this worker is, once it can score."""
        return {"version": __version__, "node": platform.node()}

    def tiles(self) -> int:
        """Tiles of the present slide that are done."""
        return self._tiles

    def count(self, done: int, total: int) -> None:
        """See `SlideRun.count`."""
        self._tiles = done

    def score(self, task: SlideTask, coming: str | None = None) -> SlideOutcome:
        """Score one slide, unless a valid report is there; what goes wrong with the slide is in the answer.

        coming : the source that is likely to be asked for next
        """
        started = time.monotonic()
        self._tiles = 0
        try:
            report, state = self._report(task, coming)
        except Exception as error:
            problem = describe_problem(error)
            _log.warning("slide %s: %s", task.entry.id, problem.detail, exc_info=error)
            return SlideOutcome(task.entry.id, "failed", problem, seconds=time.monotonic() - started)
        finally:
            self._tiles = 0
        tiles = report.tissue.tiles_scored if state == "scored" else 0
        return SlideOutcome(task.entry.id, state, tiles=tiles, seconds=time.monotonic() - started)

    def write_part(self, part: int, members: Sequence[TableMember]) -> bool:
        """See `tables.write_part`."""
        return write_part(self._results, part, members)

    def close(self) -> None:
        """End the decoders and remove what was fetched."""
        self._open.close()

    def _report(self, task: SlideTask, coming: str | None) -> tuple[Report, Literal["scored", "kept"]]:
        entry = task.entry
        of_slide = {"mpp": entry.mpp, "roi": None if entry.roi is None else parse_roi(entry.roi)}
        options = self._order.options.model_copy(update=of_slide)
        kept = None if task.kept is None else self._read_kept(entry.id, options)
        if kept is not None and not _newer(task):
            return kept, "kept"
        with self._sources.at_hand(entry.source) as path:
            if coming is not None:
                self._sources.expect(coming)
            check_folder(path, parse_file_name(entry.source), hard_links=False)
            # Reads the file once in order: what is scored afterwards comes from the page cache.
            sha256 = slide_sha256(path)
            if kept is not None and kept.slide.sha256 == sha256:
                return kept, "kept"
            name = parse_file_name(entry.source)
            analysis = self._runner.run(path, self._detector, options, name=name, sha256=sha256, run=self)
            self._keep(entry.id, analysis, path)
        return analysis.report, "scored"

    def _read_kept(self, slide: str, options: ScoringOptions) -> Report | None:
        """The report that is there, if it is one, of these options and models, with all files beside it."""
        report = read_report(self._results, slide)
        if report is None or not answers(report, options, self._cards, rounded=self._rounded):
            return None
        files = list_folder(self._results, f"{FILES}/{slide}") if self._order.formats else {}
        return report if all(EXPORTS[name].file_name in files for name in self._order.formats) else None

    def _keep(self, slide: str, analysis: Analysis, path: Path) -> None:
        """Keep what is asked for; the report last, for where it is, everything is."""
        for name in self._order.formats:
            self._results.put(self._file(slide, name), EXPORTS[name].render(analysis, path))
        self._results.put(report_name(slide), pack_report(analysis.report))

    @staticmethod
    def _file(slide: str, format_: str) -> str:
        return f"{FILES}/{slide}/{EXPORTS[format_].file_name}"


def _newer(task: SlideTask) -> bool:
    """Whether the slide was written after its report: it may be another one by now."""
    modified = task.facts.modified
    return modified is not None and task.kept is not None and modified > task.kept.modified


def _unpack_models(models: ModelFiles, folder: Path) -> dict[str, Path]:
    """Version folders with the files of the models: the driver sends them, so that all workers have the same."""
    folders = {}
    for name, files in models.items():
        folders[name] = folder / "models" / name
        folders[name].mkdir(parents=True)
        for file, data in files.items():
            data.tofile(folders[name] / file)
    return folders
