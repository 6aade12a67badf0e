import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from serving.datasets.formats import import_dataset
from serving.datasets.import_report import FormatError
from serving.datasets.readers.source import Source
from tests.unit.serving.datasets.readers.layout import draw, imported

SPOT, POLYGON = 1, 3
LOOK_ALIKE, MITOSIS = 1, 2
"""Class ids as in CMC and CCMCT: mitosis is 2."""
HUMAN, OTHER, MODEL, CONSENSUS = 1, 2, 3, 4


def database(
    path: Path,
    spots: Sequence[tuple[int, int, int, float, float]] = (),
    *,
    deleted: frozenset[int] | None = frozenset(),
    votes: Sequence[tuple[int, int, int]] = (),
    names: tuple[str, str] = ("Nonmitosis", "Mitotic figure"),
    extra: str = "",
) -> Path:
    """A database as published. spots : uid, type, class, x, y; votes : annotation, person, class.

    deleted : annotations marked so, None for the older layout that has no such column
    """
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE Slides (uid INTEGER PRIMARY KEY, filename TEXT, width INTEGER, height INTEGER, directory TEXT);"
            f"CREATE TABLE Annotations (uid INTEGER PRIMARY KEY, slide INTEGER, type INTEGER, agreedClass INTEGER"
            f"{'' if deleted is None else ', guid TEXT, lastModified REAL, deleted INTEGER DEFAULT 0'});"
            "CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY, coordinateX INTEGER, coordinateY INTEGER,"
            " slide INTEGER, annoId INTEGER, orderIdx INTEGER);"
            "CREATE TABLE Annotations_label (uid INTEGER PRIMARY KEY, person INTEGER, class INTEGER, annoId INTEGER);"
            "CREATE TABLE Classes (uid INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE Persons (uid INTEGER PRIMARY KEY, name TEXT);"
            "INSERT INTO Slides VALUES (1, 'a.svs', 4000, 3000, ''), (2, 'b.svs', 4000, 3000, '');"
            "INSERT INTO Persons VALUES (1, 'CB'), (2, 'RK'), (3, 'RetinaNet'), (4, 'Consensus');"
        )
        db.executemany("INSERT INTO Classes VALUES (?, ?)", enumerate(names, 1))
        for uid, kind, agreed, x, y in spots:
            db.execute(
                "INSERT INTO Annotations (uid, slide, type, agreedClass) VALUES (?, 1, ?, ?)", (uid, kind, agreed)
            )
            points = [(x, y)] if kind == SPOT else [(x, y), (x + 9, y), (x, y + 9)]
            db.executemany(
                "INSERT INTO Annotations_coordinates (coordinateX, coordinateY, slide, annoId, orderIdx) VALUES (?, ?, 1, ?, ?)",
                [(px, py, uid, order) for order, (px, py) in enumerate(points)],
            )
        for uid in deleted or ():
            db.execute("UPDATE Annotations SET deleted = 1 WHERE uid = ?", (uid,))
        db.executemany("INSERT INTO Annotations_label (annoId, person, class) VALUES (?, ?, ?)", votes)
        db.executescript(extra)
        db.commit()
    return path


def test_a_spot_is_a_50_px_box_around_its_centre(tmp_path: Path) -> None:
    dataset, _ = imported("sliderunner", database(tmp_path / "cmc.sqlite", [(1, SPOT, MITOSIS, 500, 300)]))
    (figure,) = dataset.pictures[0].annotations
    assert figure.box == (475, 275, 525, 325)
    assert figure.nominal
    assert figure.label == "mitotic figure"


def test_whole_class_names_count_although_nonmitosis_holds_the_word(tmp_path: Path) -> None:
    spots = [(1, SPOT, LOOK_ALIKE, 500, 300), (2, SPOT, MITOSIS, 900, 300)]
    for names in (("Nonmitosis", "Mitosis"), ("not mitotic figure", "mitotic figure")):
        dataset, _ = imported("sliderunner", database(tmp_path / "x.sqlite", spots, names=names))
        assert [a.label for a in dataset.pictures[0].annotations] == ["look-alike", "mitotic figure"]


def test_deleted_rows_and_outlines_are_left_and_counted(tmp_path: Path) -> None:
    spots = [(1, SPOT, MITOSIS, 500, 300), (2, SPOT, MITOSIS, 900, 300), (3, POLYGON, MITOSIS, 50, 50)]
    dataset, report = imported("sliderunner", database(tmp_path / "x.sqlite", spots, deleted=frozenset({2})))
    assert len(dataset.pictures[0].annotations) == 1
    assert report.dropped["annotations that are marked as deleted"] == 1
    assert report.dropped["annotations of type 3, which is no spot"] == 1


def test_the_older_layout_without_the_column_deleted_is_read(tmp_path: Path) -> None:
    dataset, _ = imported("sliderunner", database(tmp_path / "x.sqlite", [(1, SPOT, MITOSIS, 500, 300)], deleted=None))
    assert len(dataset.pictures[0].annotations) == 1


def test_only_people_vote_and_each_once(tmp_path: Path) -> None:
    votes = [
        (1, HUMAN, LOOK_ALIKE),
        (1, MODEL, MITOSIS),
        (1, CONSENSUS, MITOSIS),
        (1, OTHER, MITOSIS),
        (1, OTHER, 0),
        (1, HUMAN, MITOSIS),
        (2, HUMAN, LOOK_ALIKE),
        (2, OTHER, MITOSIS),
    ]
    spots = [(1, SPOT, MITOSIS, 500, 300), (2, SPOT, MITOSIS, 900, 300)]
    dataset, report = imported("sliderunner", database(tmp_path / "x.sqlite", spots, votes=votes))
    first, second = dataset.pictures[0].annotations
    assert {(v.rater, v.mitotic) for v in first.votes} == {("CB", True), ("RK", True)}
    assert (first.agreement, second.agreement) == (1.0, 0.5)
    assert report.dropped["votes of RetinaNet, who is no rater or gave no class"] == 1
    assert report.dropped["votes of Consensus, who is no rater or gave no class"] == 1
    assert report.dropped["earlier votes of a rater who voted again"] == 1


def test_a_spot_without_agreed_class_and_other_cells_are_left_and_counted(tmp_path: Path) -> None:
    spots = [(1, SPOT, MITOSIS, 500, 300), (2, SPOT, 0, 900, 300), (3, SPOT, 3, 950, 300)]
    extra = "INSERT INTO Classes VALUES (3, 'Granulocyte');"
    _, report = imported("sliderunner", database(tmp_path / "x.sqlite", spots, extra=extra))
    assert report.dropped["spots without an agreed class"] == 1
    assert report.dropped["spots of class 'Granulocyte'"] == 1


def test_stitched_pictures_of_one_case_are_one_patient_as_in_amibr(tmp_path: Path) -> None:
    names = "UPDATE Slides SET filename = '04_stitched' || uid || '.tif';"
    path = database(tmp_path / "x.sqlite", extra=names)
    dataset, _ = import_dataset("sliderunner", Source(path, tmp_path, "tupac_al", "none"))
    assert {p.patient for p in dataset} == {"tupac16/04"}


def test_a_slide_without_annotations_is_unlabelled(tmp_path: Path) -> None:
    dataset, _ = imported("sliderunner", database(tmp_path / "x.sqlite", [(1, SPOT, MITOSIS, 500, 300)]))
    assert [p.labelled for p in dataset] == [True, False]


def test_triggers_that_call_the_programs_own_functions_never_run_and_the_file_stays(tmp_path: Path) -> None:
    trigger = (
        "CREATE TRIGGER stamp AFTER UPDATE ON Annotations BEGIN"
        " UPDATE Annotations SET guid = generate_uuid() WHERE uid = new.uid; END;"
    )
    path = database(tmp_path / "x.sqlite", [(1, SPOT, MITOSIS, 500, 300)], extra=trigger)
    path.chmod(0o444)
    before = path.read_bytes()
    imported("sliderunner", path)
    assert path.read_bytes() == before


def test_labels_of_stitched_pictures_do_not_fit_the_originals(tmp_path: Path) -> None:
    draw(tmp_path / "a.tif", 200, 100)
    with pytest.raises(FormatError, match=r"table Slides, uid 1: states 4000 x 3000 px, a\.tif has 200 x 100"):
        imported("sliderunner", database(tmp_path / "x.sqlite", [(1, SPOT, MITOSIS, 500, 300)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE Annotations DROP COLUMN agreedClass", r"table Annotations: has no column agreedClass"),
        ("DROP TABLE Persons", r"table Persons: has no column uid, name"),
        ("UPDATE Annotations SET slide = 8", r"table Annotations, uid 1, column slide: no slide has the uid 8"),
        ("DELETE FROM Annotations_coordinates", r"table Annotations, uid 1, .*coordinates: a spot has one, this has 0"),
        (
            "UPDATE Annotations_coordinates SET coordinateX = 'left'",
            r"table Annotations, uid 1, coordinateX .*: are 'left'",
        ),
        ("UPDATE Classes SET name = 'cell ' || uid", r"table Classes, column name: no class means a mitotic figure"),
    ],
)
def test_a_wrong_database_is_named_by_table_row_and_column(tmp_path: Path, change: str, message: str) -> None:
    path = database(tmp_path / "x.sqlite", [(1, SPOT, MITOSIS, 500, 300)], extra=f"{change};")
    with pytest.raises(FormatError, match=rf"x\.sqlite: {message}"):
        imported("sliderunner", path)


def test_another_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_text("uid,slide\n" * 50)
    with pytest.raises(FormatError, match=r"x\.sqlite: file: is no SlideRunner database"):
        imported("sliderunner", path)
