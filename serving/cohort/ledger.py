"""What is known of each slide of a cohort: from earlier runs at the start, and as this one goes on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving import __version__
from serving.cohort.errors import CohortError, SlideProblem
from serving.cohort.layout import (
    COHORT,
    FAILED,
    REPORTS,
    CohortRecord,
    Failure,
    failure_name,
    list_folder,
    parse_slide_id,
    read_failure,
)
from serving.cohort.manifest import ManifestEntry
from serving.cohort.sources import SourceFile, stat_sources
from serving.cohort.tables import TableMember, choose_part
from serving.cohort.worker import SlideOutcome, SlideTask, WorkOrder
from serving.core.modelcard import ModelCard
from serving.jobs.job import models_key, options_text
from serving.scoring.sessions import CPU
from serving.store.blob_store import BlobStore


@dataclass(slots=True)
class CohortTally:
    """What became of the slides so far; `failures` also holds those of earlier runs."""

    slides: int
    scored: int = 0
    kept: int = 0
    tiles: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Slides that nothing is known of yet."""
        return self.slides - self.scored - self.kept - len(self.failures)


class Ledger:
    """The slides of one cohort and what is kept of them at `results`."""

    def __init__(
        self, results: BlobStore, slides: Sequence[ManifestEntry], order: WorkOrder, cards: Sequence[ModelCard]
    ) -> None:
        self._results, self._slides = results, {entry.id: entry for entry in slides}
        self._order, self._cards = order, list(cards)
        self._known: dict[str, tuple[Failure, float]] = {}
        self.tally = CohortTally(len(slides))

    def begin(self, *, again: bool) -> list[SlideTask]:
        """State what is asked for, and give what is to be done: first slides that seem to be done already.

        again : slides are tried again, too, that failed by their own fault
        """
        record = CohortRecord(
            software=__version__,
            options=options_text(self._order.options),
            models=[f"{card.name}@{card.version}" for card in self._cards],
            slides=list(self._slides.values()),
        )
        self._results.put(COHORT, record.model_dump_json(indent=1).encode())
        for name, stored in list_folder(self._results, FAILED).items():
            failure = read_failure(self._results, parse_slide_id(name))
            if failure is not None:
                self._known[failure.slide] = failure, stored.modified
        reports = {parse_slide_id(name): stored for name, stored in list_folder(self._results, REPORTS).items()}
        tasks = []
        for entry, facts in zip(
            self._slides.values(), stat_sources(e.source for e in self._slides.values()), strict=True
        ):
            if not again and entry.id not in reports and self._fails_again(entry, facts):
                self.tally.failures[entry.id] = self._known[entry.id][0]
            else:
                tasks.append(SlideTask(entry, facts, reports.get(entry.id)))
        return sorted(tasks, key=lambda task: task.kept is None)

    def note(self, outcome: SlideOutcome, tries: int) -> None:
        """Take down how a slide ended, and keep the reason if it failed."""
        if outcome.problem is not None:
            self._fail(self._slides[outcome.slide], outcome.problem, tries)
            return
        if outcome.slide in self._known:
            self._results.delete(failure_name(outcome.slide))
        if outcome.state == "kept":
            self.tally.kept += 1
        else:
            self.tally.scored += 1
            self.tally.tiles += outcome.tiles

    def members(self) -> dict[int, list[TableMember]]:
        """What each part of the tables is made of.

        Raises
        ------
        CohortError
            If a report is gone.
        """
        reports = {parse_slide_id(name): stored for name, stored in list_folder(self._results, REPORTS).items()}
        parts: dict[int, list[TableMember]] = {}
        for entry in self._slides.values():
            failure = self.tally.failures.get(entry.id)
            stored = None if failure is not None else reports.get(entry.id)
            if failure is None and stored is None:
                raise CohortError(f"the report of {entry.id} was removed meanwhile; give the command again")
            parts.setdefault(choose_part(entry.id), []).append(TableMember(entry, stored, failure))
        return parts

    def _fail(self, entry: ManifestEntry, problem: SlideProblem, tries: int) -> None:
        failure = Failure(
            slide=entry.id,
            source=entry.source,
            problem=problem.kind,
            detail=problem.detail,
            passing=problem.passing,
            tries=tries,
            key=self._key(entry),
        )
        self._results.put(failure_name(entry.id), failure.model_dump_json(indent=1).encode())
        self.tally.failures[entry.id] = failure

    def _fails_again(self, entry: ManifestEntry, facts: SourceFile) -> bool:
        """Whether it was the fault of a slide that has not changed, with the same options and models."""
        if entry.id not in self._known:
            return False
        failure, written = self._known[entry.id]
        if failure.key != self._key(entry) or failure.passing or failure.problem == "not-found":
            return False
        return facts.modified is None or facts.modified <= written

    def _key(self, entry: ManifestEntry) -> str:
        """Hash of what a result depends on beside the slide's pixels."""
        provider = self._order.providers[0] if self._order.providers else CPU
        stated = [options_text(self._order.options), models_key(self._cards, provider), __version__]
        return hashlib.sha256("\n".join([*stated, str(entry.mpp), str(entry.roi)]).encode()).hexdigest()
