"""The results of a study as CSV tables: a line a judgement, a line a slide, and how far readers agree."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence

from serving.core.words import state_time
from serving.review.study_results import StudyResults, iterate_judgements
from serving.review.verdicts import LABELS, Who

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that spreadsheets would compute."""

READING_COLUMNS = (
    "study", "reader", "author", "place", "slide_name", "slide", "analysis", "object", "x", "y", "width", "height",
    "probability", "model_figure", "label", "mitotic_figure",
)  # fmt: skip
"""`place`: in the reader's order, from 1 on. Boxes in level-0 px, (x, y) top left. Without a verdict the last two are empty."""
SLIDE_COLUMNS = (
    "study", "reader", "author", "place", "slide_name", "slide", "analysis", "model_figures", "mitotic_figures", "accepted",
    "rejected", "added", "unjudged", "active_s", "began_at", "finished_at",
)  # fmt: skip
"""`mitotic_figures`: accepted and added. `active_s`: time in which the slide was looked at. Times are UTC, ISO 8601."""
AGREEMENT_COLUMNS = ("measure", "first", "second", "of", "number", "value", "low", "high")
"""`number`: of what, objects or slides, the value is. Empty where a value is not defined."""


def name_reader(who: Who) -> str:
    """What a reader is called: by their own name, else by their key."""
    return who[1] or who[0]


def write_readings(results: StudyResults) -> bytes:
    """A line for each reader, slide and object: the model's figures, and whatever else somebody judged."""
    lines = []
    for slide, said, shown in iterate_judgements(results):
        label = said.labels.get(shown.name)
        figure = "" if label is None else _yes(LABELS[label])
        place = [said.reading.place + 1, slide.slide_name, slide.sha256, slide.analysis]
        model = _yes(shown.name.startswith("detection-"))
        box = [*(round(side, 2) for side in shown.box), shown.probability, model]
        lines.append([*_reader(results, said.who), *place, shown.name, *box, label, figure])
    return _write(READING_COLUMNS, lines)


def write_slides(results: StudyResults) -> bytes:
    """A line for each reader and slide, with counts and the time that it took."""
    lines = []
    for slide in results.slides:
        for said in slide.readings:
            t, reading = said.tally, said.reading
            place = [reading.place + 1, slide.slide_name, slide.sha256, slide.analysis, slide.model_figures]
            counts = [t.mitotic_figures, t.accepted, t.rejected, t.added, t.unjudged]
            times = [round(reading.active_s, 1), state_time(reading.began_at), state_time(reading.finished_at)]
            lines.append([*_reader(results, said.who), *place, *counts, *times])
    return _write(SLIDE_COLUMNS, lines)


def write_agreement(results: StudyResults) -> bytes:
    """Percent agreement and Cohen's kappa of every two readers, Fleiss' kappa of all, and ICC(2,1) of their counts."""
    lines: list[list[object]] = []
    for pair in results.pairs:
        names = [name_reader(pair.first), name_reader(pair.second)]
        of = ["objects judged by both", pair.judged_by_both]
        share = 100 * pair.agreed / pair.judged_by_both if pair.judged_by_both else None
        lines.append(["percent agreement", *names, *of, share, None, None])
        lines.append(["Cohen's kappa", *names, *of, pair.kappa, None, None])
    of = ["objects judged by all", len(results.fully_judged)]
    lines.append(["Fleiss' kappa", "all", "all", *of, results.fleiss_kappa, None, None])
    counts = results.counts
    of = ["slides finished by all", counts.slides]
    lines.append(["ICC(2,1) of counts", "all", "all", *of, counts.icc, counts.low, counts.high])
    return _write(AGREEMENT_COLUMNS, lines)


TABLES: Mapping[str, Callable[[StudyResults], bytes]] = {
    "readings": write_readings,
    "slides": write_slides,
    "agreement": write_agreement,
}
"""What writes each table, by its name."""


def _reader(results: StudyResults, who: Who) -> list[str]:
    return [results.study.name, name_reader(who), who[0]]


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _write(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_plain(value) for value in line])
    return text.getvalue().encode()


def _plain(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
