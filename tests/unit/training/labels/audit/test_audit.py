import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.datasets.import_report import FormatError
from serving.datasets.store import Dataset, Picture, read_store, write_store
from tests.unit.serving.datasets.pictures import draw, picture
from training.labels.audit.answers import AuditResult, read_answers, read_audit
from training.labels.audit.audit_sample import Audit, AuditTile, draw_audit
from training.labels.audit.sheet import ANSWERS_FILE, write_sheet

BOXES = [(100.0, 100.0, 130.0, 140.0), (1190.0, 500.0, 1230.0, 540.0), (985.0, 20.0, 1025.0, 60.0)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three pictures: of two tiles side by side, without boxes, and one that nobody labelled."""
    pictures = (
        picture(BOXES, agreement=[0.4, 0.6, 1.0], name="wide", size=(1250, 600)),
        picture([], name="empty", size=(300, 300)),
        picture([], name="unseen", size=(300, 300), labelled=False),
    )
    for one in pictures:
        draw(tmp_path, one)
    write_store(
        Dataset(name="t", format="t", licence="t", root=str(tmp_path), pictures=pictures), tmp_path / "store.json"
    )
    return tmp_path / "store.json"


def sheet(store: Path, *, tiles: int = 3, seed: int = 0) -> Path:
    dataset, out = read_store(store), store.parent / "audit"
    write_sheet(draw_audit(dataset, store, tiles=tiles, seed=seed), dataset, out)
    return out


def fill(folder: Path, answer: Callable[[dict[str, str]], str], extra: str = "") -> None:
    path = folder / ANSWERS_FILE
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "answer": answer(row)} for row in rows)
        handle.write(extra)


def test_a_picture_is_audited_tile_by_tile_and_a_box_where_its_centre_is(store: Path) -> None:
    audit = draw_audit(read_store(store), store, tiles=3, seed=0)
    assert audit.tiles == (
        AuditTile(picture="wide", x=0, y=0, width=1000, height=600, boxes=(0,)),
        AuditTile(picture="wide", x=1000, y=0, width=250, height=600, boxes=(1, 2)),
        AuditTile(picture="empty", x=0, y=0, width=300, height=300, boxes=()),
    )


def test_the_draw_depends_on_the_seed_and_asks_for_what_exists(store: Path) -> None:
    def tiles(seed: int) -> tuple[AuditTile, ...]:
        return draw_audit(read_store(store), store, tiles=1, seed=seed).tiles

    assert tiles(4) == tiles(4)
    assert len({tiles(seed) for seed in range(12)}) == 3
    with pytest.raises(ValueError, match="500 tiles asked for, 3 are labelled"):
        draw_audit(read_store(store), store, tiles=500, seed=0)


def test_the_sheet_shows_tiles_with_and_without_boxes(store: Path) -> None:
    folder = sheet(store)
    plain, boxed = (np.asarray(Image.open(folder / f"tiles/0002{end}.png")) for end in ("", "-boxes"))
    assert plain.shape == boxed.shape == (600, 250, 3)
    changed = np.argwhere((plain != boxed).any(2))
    assert len(changed)
    # Box 1 lies at x 190 to 230 of the second tile; nothing inside it is drawn over.
    assert (plain[500:540, 190:230] == boxed[500:540, 190:230]).all()
    page = (folder / "sheet.html").read_text()
    assert "For Research Use Only" in page
    assert page.count('src="tiles/0002') == 4  # the pair and two close-ups
    assert "3 tiles, 3 boxes" in page
    rows = (folder / ANSWERS_FILE).read_text().splitlines()
    assert rows[0] == "tile,box,x1,y1,x2,y2,answer"
    assert rows[1:] == ["1,1,100.0,100.0,130.0,140.0,", "2,1,190.0,500.0,230.0,540.0,", "2,2,-15.0,20.0,25.0,60.0,"]


def test_answers_are_never_overwritten(store: Path) -> None:
    sheet(store)
    with pytest.raises(FileExistsError, match="may hold answers"):
        sheet(store)


def test_ids_are_escaped_on_the_page(store: Path) -> None:
    dataset = read_store(store)
    evil = dataset.pictures[0].model_copy(update={"id": "<script>"})
    changed = dataset.model_copy(update={"pictures": (evil,)})
    write_sheet(draw_audit(changed, store, tiles=2, seed=0), changed, store.parent / "audit")
    assert "<script>" not in (store.parent / "audit/sheet.html").read_text()


def test_a_missing_picture_is_named(store: Path) -> None:
    (store.parent / "wide.png").unlink()
    with pytest.raises(ValueError, match=r"picture wide: .*wide\.png"):
        sheet(store)


def test_answers_become_a_share_and_corrections(store: Path) -> None:
    folder = sheet(store)
    fill(
        folder,
        lambda row: "reject" if (row["tile"], row["box"]) == ("2", "1") else " Confirm",
        "2,,10,20,40.5,50,add\n",
    )
    result, corrected = read_audit(folder)
    assert result == AuditResult(tiles=3, confirmed=2, rejected=1, added=1)
    wide, empty, unseen = corrected.pictures
    assert [a.label for a in wide.annotations] == ["mitotic figure", "look-alike", "mitotic figure", "mitotic figure"]
    assert wide.annotations[1].agreement == 0.6
    assert wide.annotations[3].box == (1010, 20, 1040.5, 50)
    assert wide.annotations[3].votes[0].mitotic
    before = read_store(store).pictures
    assert (empty, unseen) == before[1:]
    assert [wide.annotations[n] for n in (0, 2)] == [before[0].annotations[n] for n in (0, 2)]


def test_the_share_has_wilsons_interval_beside_the_papers_figure() -> None:
    lines = AuditResult(tiles=500, confirmed=425, rejected=75, added=0).lines()
    assert "425 of 500 boxes confirmed: 85.0 % (95 % interval 81.6 to 87.9 %); paper: about 85 %" in lines
    assert "0 boxes added; paper: none" in lines
    assert "no boxes" in AuditResult(tiles=1, confirmed=0, rejected=0, added=0).lines()[1]


AUDIT = Audit(
    store="store.json",
    sha256="0" * 64,
    seed=0,
    tiles=(
        AuditTile(picture="a", x=0, y=0, width=1000, height=900, boxes=(4, 7)),
        AuditTile(picture="b", x=0, y=0, width=1000, height=1000, boxes=()),
    ),
)
GOOD = "1,1,0,0,9,9,confirm\n1,2,0,0,9,9,reject\n"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,1,0,0,9,9,\n", "line 2: answer: empty"),
        ("1,1,0,0,9,9,perhaps\n", "line 2: answer: .*'confirm'"),
        ("1,1,0,0,9,9,confirm\n", "tile 1, box 2: no answer"),
        (GOOD + "1,2,0,0,9,9,confirm\n", "line 4: box: answered in line 3 already"),
        (GOOD + "1,3,0,0,9,9,confirm\n", "line 4: box: 3, but the tile has 2"),
        (GOOD + "3,1,0,0,9,9,confirm\n", "line 4: tile: 3, but 2 were drawn"),
        (GOOD + "0,1,0,0,9,9,confirm\n", "line 4: tile"),
        (GOOD + "1,,0,0,9,9,confirm\n", "line 4: box: Field required"),
        (GOOD + "1,3,0,0,9,9,add\n", "line 4: box: an added box has no number"),
        (GOOD + "2,,0,0,9,,add\n", "line 4: y2: Field required"),
        (GOOD + "2,,30,0,9,9,add\n", "line 4: x1 to y2: not a box"),
        (GOOD + "1,,0,880,9,910,add\n", "line 4: x1 to y2: not a box inside the tile of 1000 x 900 px"),
        (GOOD + "2,,0,0,inf,9,add\n", "line 4: x2"),
    ],
)
def test_a_wrong_answer_is_named(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / ANSWERS_FILE
    path.write_text("tile,box,x1,y1,x2,y2,answer\n" + GOOD)
    assert len(read_answers(path, AUDIT)) == 2
    path.write_text("tile,box,x1,y1,x2,y2,answer\n" + rows)
    with pytest.raises(FormatError, match=rf"answers\.csv: {said}"):
        read_answers(path, AUDIT)


def test_a_store_that_changed_is_refused(store: Path) -> None:
    folder = sheet(store)
    fill(folder, lambda _: "confirm")
    dataset = read_store(store)
    pictures: tuple[Picture, ...] = dataset.pictures[:2]
    write_store(dataset.model_copy(update={"pictures": pictures}), store)
    with pytest.raises(ValueError, match="changed since the audit was drawn"):
        read_audit(folder)
    (folder / "audit.json").write_text("{}")
    with pytest.raises(FormatError, match=r"audit\.json: store: Field required"):
        read_audit(folder)
    with pytest.raises(FileNotFoundError):
        read_audit(folder / "nowhere")
