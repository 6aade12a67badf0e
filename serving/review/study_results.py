"""What the readers of a study said: a row for each reader, slide and object, a row for each reader and slide, and agreement."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from serving.core.report import Report
from serving.review.decisions import SAME_FIGURE_UM
from serving.review.reader_agreement import ReaderCountAgreement, measure_count_agreement, measure_fleiss_kappa
from serving.review.review_store import ReviewStore
from serving.review.studies import ReaderStudy, StudyReader, StudyReading, StudyStore
from serving.review.verdicts import (
    LABELS,
    Box,
    ReviewerAgreement,
    ReviewTally,
    Who,
    agreements,
    collect_verdicts,
    find_added_boxes,
    make_added_target,
    tally,
)
from serving.scoring.reviewed import name_objects
from serving.store.database import Database


@dataclass(frozen=True, slots=True)
class StudyObject:
    """Something that could be judged.

    name : as reviews call it; what several readers added at one place has one name
    box : level-0 px
    probability : the model's; None of what readers added
    """

    name: str
    box: Box
    probability: float | None


@dataclass(frozen=True, slots=True)
class SlideReading:
    """What one reader said of one slide.

    labels : by the object's name
    tally : see `ReviewTally`; its `mitotic_figures` is the reader's count
    """

    who: Who
    reading: StudyReading
    labels: Mapping[str, str]
    tally: ReviewTally


@dataclass(frozen=True, slots=True)
class StudySlide:
    """A slide of a study with what everybody said of it.

    objects : the model's figures, and all else that somebody judged, in the order of the report, then what was added
    readings : one of each reader
    """

    analysis: str
    sha256: str
    slide_name: str
    model_figures: int
    objects: Sequence[StudyObject]
    readings: Sequence[SlideReading]


@dataclass(frozen=True)
class StudyResults:
    """A study with its readings. Slides whose analyses were removed are not in it."""

    study: ReaderStudy
    slides: Sequence[StudySlide]

    @cached_property
    def pairs(self) -> list[ReviewerAgreement]:
        """Every two readers on all objects that both judged, whatever slide they are on."""
        verdicts: dict[Who, dict[str, str]] = {who: {} for who in self.study.readers}
        for slide in self.slides:
            for said in slide.readings:
                verdicts[said.who] |= {f"{slide.analysis} {name}": label for name, label in said.labels.items()}
        return list(agreements(verdicts))

    @cached_property
    def fully_judged(self) -> list[list[int]]:
        """Of each object that every reader judged, whether each called it a mitotic figure."""
        found = []
        for slide in self.slides:
            for shown in slide.objects:
                labels = [said.labels.get(shown.name) for said in slide.readings]
                ratings = [int(LABELS[label]) for label in labels if label is not None]
                if len(ratings) == len(self.study.readers):
                    found.append(ratings)
        return found

    @cached_property
    def fleiss_kappa(self) -> float | None:
        """Of all readers on the objects that each of them judged; None where it is not defined."""
        return measure_fleiss_kappa(self.fully_judged, categories=2)

    @cached_property
    def counts(self) -> ReaderCountAgreement:
        """Of the readers' counts on the slides that all of them have finished."""
        whole = [s for s in self.slides if all(said.reading.finished_at is not None for said in s.readings)]
        return measure_count_agreement([[said.tally.mitotic_figures for said in slide.readings] for slide in whole])


def collect_results(database: Database, study: ReaderStudy, read_report: Callable[[str], Report]) -> StudyResults:
    """Everything that the readers of a study said.

    read_report : gives the report of an analysis, by its id, as it was made; raises where it is lost
    """
    store, kept = StudyStore(database), ReviewStore(database)
    orders = {who: store.readings(StudyReader(study.id, *who)) for who in study.readers}
    by_slide: dict[str, list[tuple[Who, StudyReading]]] = {}
    for who, readings in orders.items():
        for reading in readings:
            by_slide.setdefault(reading.analysis, []).append((who, reading))
    slides = sorted(by_slide.values(), key=lambda found: (found[0][1].slide_name, found[0][1].analysis))
    return StudyResults(study, [_collect_slide(kept, study, found, read_report) for found in slides])


def _collect_slide(
    kept: ReviewStore,
    study: ReaderStudy,
    found: Sequence[tuple[Who, StudyReading]],
    read_report: Callable[[str], Report],
) -> StudySlide:
    first = found[0][1]
    report = read_report(first.analysis)
    entries = {who: kept.study_entries(first.analysis, StudyReader(study.id, *who)) for who, _ in found}
    said = {who: collect_verdicts(own).get(who, {}) for who, own in entries.items()}
    added = merge_added({who: find_added_boxes(own) for who, own in entries.items()}, SAME_FIGURE_UM / report.slide.mpp)
    readings = []
    for who, reading in found:
        labels = {added.names.get(target, target): label for target, label in said[who].items()}
        counted = tally(who, said[who], len(report.detections))
        readings.append(SlideReading(who, reading, labels, counted))
    judged = {name for own in readings for name in own.labels}
    named = name_objects(report)
    objects = [
        StudyObject(name, (o.x, o.y, o.width, o.height), o.probability)
        for name, o in named.items()
        if name.startswith("detection-") or name in judged
    ]
    objects += [StudyObject(name, box, None) for name, box in added.boxes.items() if name in judged]
    return StudySlide(first.analysis, first.sha256, first.slide_name, len(report.detections), objects, readings)


@dataclass(frozen=True, slots=True)
class MergedPlaces:
    """Figures that readers added, those of several readers at one place as one.

    boxes : level-0 px, by name: that of the figure that was added first
    names : the name of each figure that was added
    """

    boxes: Mapping[str, Box]
    names: Mapping[str, str]


def merge_added(added: Mapping[Who, Mapping[str, Box]], reach: float) -> MergedPlaces:
    """Places that several readers added, each reader at most once to a place: the nearest that is within reach.

    Parameters
    ----------
    added
        Boxes by the names that reviews give them, of each reader.
    reach
        px between the middles of two boxes that are one figure.
    """
    boxes: dict[str, Box] = {}
    names: dict[str, str] = {}
    taken: set[tuple[str, Who]] = set()
    everything = [
        (int(name.removeprefix(make_added_target(0)[:-1])), who, name) for who in added for name in added[who]
    ]
    for _, who, name in sorted(everything):
        box = added[who][name]
        near = {other: _find_distance(box, boxes[other]) for other in boxes if (other, who) not in taken}
        nearest = min(near, key=lambda other: near[other], default=None)
        place = name if nearest is None or near[nearest] > reach else nearest
        boxes.setdefault(place, box)
        names[name] = place
        taken.add((place, who))
    return MergedPlaces(boxes, names)


def _find_distance(one: Box, other: Box) -> float:
    """Between the middles."""
    (x1, y1), (x2, y2) = ((b[0] + b[2] / 2, b[1] + b[3] / 2) for b in (one, other))
    return math.hypot(x1 - x2, y1 - y2)


def iterate_judgements(results: StudyResults) -> Iterator[tuple[StudySlide, SlideReading, StudyObject]]:
    """Every reader with every object of every slide, also where there is no verdict."""
    for slide in results.slides:
        for said in slide.readings:
            for shown in slide.objects:
                yield slide, said, shown
