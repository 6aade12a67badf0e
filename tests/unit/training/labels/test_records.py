from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.pictures import picture
from training.labels.records import BinaryRecord, BoxesRecord, Record, read_records, write_records

HEADER = "task,tile,labeler,group,seconds,answer,boxes\n"
RECORDS: list[Record] = [
    BoxesRecord(tile="a", labeler="L1", group="crowd", seconds=41.5, boxes=((10.25, 20, 40, 52), (0, 0, 9, 9))),
    BoxesRecord(tile="a", labeler="L, 2", group="crowd", boxes=()),
    BinaryRecord(tile='a"@0,250', labeler="E1", group="expert", seconds=2.5, answer=True),
    BinaryRecord(tile="b", labeler="E1", group="expert", seconds=2.5, tile_px=500, answer=False),
]


@pytest.mark.parametrize("name", ["records.csv", "records.jsonl"])
def test_records_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    write_records(RECORDS, tmp_path / name)
    assert read_records(tmp_path / name) == RECORDS


def test_the_table_that_people_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(
        "\ufeff" + HEADER + "boxes, a ,L1,crowd,39,,10 20 40 50; 60 60 90 95;\n\nbinary,a,L1,expert,,no,\n",
        encoding="utf-8",
    )
    boxes, binary = read_records(path)
    assert isinstance(boxes, BoxesRecord)
    assert boxes.boxes == ((10, 20, 40, 50), (60, 60, 90, 95))
    assert (boxes.tile, boxes.tile_px, binary.tile_px) == ("a", 1000, 250)
    assert isinstance(binary, BinaryRecord)
    assert not binary.answer
    assert binary.seconds is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("boxes,a,L1,crowd,-3,,", r"line 2: seconds: Input should be greater than 0 \(given: '-3'\)"),
        ("boxes,a,L1,crowd,nan,,", "line 2: seconds"),
        ("boxes,a,L1,public,3,,", "line 2: group"),
        ("boxes,,L1,crowd,3,,", "line 2: tile: Field required"),
        ("boxes,a,L1,crowd,3,,10 20 40", r"line 2: boxes\.0"),
        ("boxes,a,L1,crowd,3,,10 20 40 x", r"line 2: boxes\.0\.3.*given: 'x'"),
        ("boxes,a,L1,crowd,3,,1 2 3 4; 40 20 10 50", r"line 2: boxes\.1: .*x1 < x2"),
        ("boxes,a,L1,crowd,3,yes,", "line 2: answer"),
        ("binary,a,L1,expert,3,maybe,", "line 2: answer: .*given: 'maybe'"),
        ("binary,a,L1,expert,3,,", "line 2: answer: Field required"),
        ("points,a,L1,expert,3,,", "line 2: task: .*binary"),
        (",a,L1,expert,3,,", "line 2: task"),
        ("binary,a,L1,expert,3,yes,,surplus", "line 2: has 8 fields, the header has 7"),
        ('binary,"a"b,L1,expert,3,yes,', "line 2"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "records.csv"
    path.write_text(HEADER + line + "\n")
    with pytest.raises(FormatError, match=rf"records\.csv: {said}"):
        read_records(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column 'task'"),
        ("task,tile,labeler\n", "line 1: no column 'group'"),
        (HEADER.replace("seconds", "minutes"), "line 1: unknown column 'minutes'"),
        (HEADER.replace("seconds", "task"), "line 1: two columns have the same name"),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "records.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=said):
        read_records(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"task": "boxes"', "line 2: no JSON"),
        (b"[1, 2]", "line 2: task: "),
        (b'{"task": "boxes", "tile": "a", "labeler": "L", "group": "crowd"}', "line 2: boxes: Field required"),
        (b'{"task": "boxes", "tile": "a", "labeler": "L", "group": "crowd", "boxes": [[0, 0, Infinity, 3]]}', "line 2"),
        (b"\xff\xfe\xfa", "line 2: no JSON"),
        (b"[" * 100_000, "line 2: no JSON"),
    ],
)
def test_a_wrong_json_line_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "records.jsonl"
    write_records(RECORDS[:1], path)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(FormatError, match=rf"records\.jsonl: {said}"):
        read_records(path)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(HEADER.encode() + b"boxes,\xe4,L1,crowd,3,,\n")
    with pytest.raises(FormatError, match="UTF-8"):
        read_records(path)
    with pytest.raises(FormatError, match=r"a \.csv or a \.jsonl"):
        read_records(tmp_path / "records.xlsx")


def test_a_labeler_labels_a_tile_once_a_task(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(HEADER + "boxes,a,L1,crowd,3,,\nbinary,a,L1,crowd,3,no,\nboxes,a,L1,crowd,3,,\n")
    with pytest.raises(FormatError, match="line 4: labeler: 'L1' labelled tile 'a' in line 2 already"):
        read_records(path)


def test_boxes_belong_to_a_tile_of_the_store(tmp_path: Path) -> None:
    path, tiles = tmp_path / "records.csv", [picture([], name="a", size=(300, 200))]
    path.write_text(HEADER + "boxes,a,L1,crowd,3,,290 190 320 220\nbinary,elsewhere,L1,crowd,3,no,\n")
    assert len(read_records(path, tiles)) == 2
    path.write_text(HEADER + "boxes,a,L1,crowd,3,,1 1 9 9; 20 200 50 230\n")
    with pytest.raises(FormatError, match=r"line 2: boxes\.1: 20 200 50 230 lies outside the tile of 300 x 200 px"):
        read_records(path, tiles)
    path.write_text(HEADER + "boxes,b,L1,crowd,3,,\n")
    with pytest.raises(FormatError, match="line 2: tile: the store has no picture 'b'"):
        read_records(path, tiles)
