"""SlideRunner's SQLite files: MIDOG, the TUPAC16 alternative labels, CMC, CCMCT."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from serving.core.annotations import normalize_class
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.patient import parse_case
from serving.datasets.readers.boxes import ambiguous, annotation, around, share
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Annotation, Dataset, Picture, Vote

FORMAT = "sliderunner"
SPOT = 1
"""`Annotations.type` of a centre point; 2 and above are outlines of regions."""
NOT_HUMAN = frozenset({"retinanet", "consensus", "majority vote"})
"""Persons in published files that are a model, or what the others agreed on; their word is no vote."""
_NEEDED = {
    "Slides": ("uid", "filename", "width", "height"),
    "Annotations": ("uid", "slide", "type", "agreedClass"),
    "Annotations_coordinates": ("coordinateX", "coordinateY", "annoId"),
    "Annotations_label": ("uid", "person", "class", "annoId"),
    "Classes": ("uid", "name"),
    "Persons": ("uid", "name"),
}


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the file says, by id."""

    slides: list[tuple[int, str, int | None, int | None]]
    classes: dict[int, str]
    spots: dict[int, list[tuple[int, int, float, float]]]
    """By slide: annotation, agreed class, x, y."""
    votes: dict[int, dict[str, int]]
    """By annotation: class by person."""


@reader(FORMAT, summary="SlideRunner .sqlite: MIDOG, TUPAC16 alternative labels, CMC, CCMCT", takes="file")
def read_sliderunner(source: Source, report: ImportReport) -> Dataset:
    """Slides of a SlideRunner database. A slide that has no annotation of any class is unlabelled.

    Raises
    ------
    FormatError
        If the file is no such database.
    """
    tables = _read(source.path, report)
    source.classes.check(source.path, "table Classes, column name", list(tables.classes.values()))
    return source.dataset(FORMAT, _pictures(source, report, tables))


def _pictures(source: Source, report: ImportReport, tables: _Tables) -> Iterator[Picture]:
    for uid, filename, width, height in tables.slides:
        where = f"table Slides, uid {uid}"
        stated = (width, height) if width and height else None
        sized = source.picture(report, filename, Path(filename).stem, stated=stated, where=where)
        if sized is None:
            continue
        spots = tables.spots.get(uid, [])
        found = [_annotation(source, report, tables, spot, sized.size) for spot in spots]
        annotations = tuple(a for a in found if a is not None)
        case = parse_case(source.name, filename)
        yield Picture(
            **sized.fields(),
            slide=case,
            patient=case,
            labelled=bool(spots),
            annotations=annotations,
            ambiguous_areas=ambiguous(annotations),
        )


def _annotation(
    source: Source, report: ImportReport, tables: _Tables, spot: tuple[int, int, float, float], size: tuple[int, int]
) -> Annotation | None:
    uid, agreed, x, y = spot
    name = tables.classes.get(agreed)
    label = None if name is None else source.classes.find_label(name)
    if label is None:
        report.dropped["spots without an agreed class" if name is None else f"spots of class {name!r}"] += 1
        return None
    votes = tuple(
        Vote(rater=person, mitotic=source.classes.find_label(tables.classes.get(vote, "")) == "mitotic figure")
        for person, vote in sorted(tables.votes.get(uid, {}).items())
    )
    return annotation(report, around(x, y), size, label, share(votes, label), votes=votes, nominal=True)


def _read(path: Path, report: ImportReport) -> _Tables:
    """Everything that is needed, in one pass; the file is opened read-only, for its triggers call SlideRunner's code."""
    if not path.is_file():
        raise FileNotFoundError(f"no database at {path}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            columns = {table: _columns(database, path, table) for table in _NEEDED}
            slides = database.execute("SELECT uid, filename, width, height FROM Slides ORDER BY uid").fetchall()
            classes = dict(database.execute("SELECT uid, name FROM Classes").fetchall())
            return _Tables(
                slides,
                classes,
                _spots(database, path, report, {uid for uid, *_ in slides}, columns["Annotations"]),
                _votes(database, report),
            )
    except sqlite3.DatabaseError as error:
        raise FormatError(path, "file", f"is no SlideRunner database ({error})") from None


def _columns(database: sqlite3.Connection, path: Path, table: str) -> set[str]:
    found = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    if missing := [name for name in _NEEDED[table] if name not in found]:
        raise FormatError(path, f"table {table}", f"has no column {', '.join(missing)}")
    return found


def _spots(
    database: sqlite3.Connection, path: Path, report: ImportReport, slides: set[int], columns: set[str]
) -> dict[int, list[tuple[int, int, float, float]]]:
    deleted = "COALESCE(a.deleted, 0)" if "deleted" in columns else "0"
    rows = database.execute(
        f"SELECT a.uid, a.slide, a.type, a.agreedClass, {deleted}, c.coordinateX, c.coordinateY, COUNT(c.annoId) "  # noqa: S608 - no outside text
        "FROM Annotations a LEFT JOIN Annotations_coordinates c ON a.uid = c.annoId GROUP BY a.uid ORDER BY a.uid"
    )
    found: dict[int, list[tuple[int, int, float, float]]] = defaultdict(list)
    for uid, slide, kind, agreed, gone, x, y, points in rows:
        where = f"table Annotations, uid {uid}"
        if gone:
            report.dropped["annotations that are marked as deleted"] += 1
        elif kind != SPOT:
            report.dropped[f"annotations of type {kind}, which is no spot"] += 1
        elif slide not in slides:
            raise FormatError(path, f"{where}, column slide", f"no slide has the uid {slide}")
        elif points != 1:
            raise FormatError(path, f"{where}, annotation coordinates", f"a spot has one, this has {points}")
        elif not all(isinstance(v, int | float) for v in (x, y)):
            raise FormatError(path, f"{where}, coordinateX and coordinateY", f"are {x!r} and {y!r}")
        else:
            found[slide].append((uid, agreed, float(x), float(y)))
    return found


def _votes(database: sqlite3.Connection, report: ImportReport) -> dict[int, dict[str, int]]:
    """One vote of each person on each annotation: their last word."""
    rows = database.execute(
        "SELECT l.annoId, p.name, l.person, l.class FROM Annotations_label l "
        "LEFT JOIN Persons p ON l.person = p.uid ORDER BY l.uid"
    )
    votes: dict[int, dict[str, int]] = defaultdict(dict)
    for uid, name, person, vote in rows:
        rater = str(name or f"person {person}")
        if normalize_class(rater) in NOT_HUMAN or not vote:
            report.dropped[f"votes of {rater}, who is no rater or gave no class"] += 1
            continue
        if rater in votes[uid]:
            report.dropped["earlier votes of a rater who voted again"] += 1
        votes[uid][rater] = vote
    return votes
