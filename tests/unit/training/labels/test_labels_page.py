"""What docs/labels.md shows is what the readers take."""

import re
from pathlib import Path

from training.labels.audit.answers import read_answers
from training.labels.audit.audit_sample import Audit, AuditTile
from training.labels.consensus import CROWD
from training.labels.records import COLUMNS, BoxesRecord, read_records

PAGE = (Path(__file__).parents[4] / "docs/labels.md").read_text()
RECORDS, ANSWERS = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)


def test_the_shown_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(RECORDS)
    first, second, third = read_records(path)
    assert isinstance(first, BoxesRecord)
    assert first.boxes == ((102, 88, 141, 130), (700.5, 12, 731, 40))
    assert isinstance(second, BoxesRecord)
    assert second.boxes == ()
    assert third.tile == "slide-07-tile-12@250,0"


def test_every_field_and_the_rules_numbers_are_told() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(COLUMNS)
    assert f"at least {CROWD.min_reviewers} labelers" in PAGE
    assert re.search(rf"at least\s+{CROWD.min_labelers} of them", PAGE)


def test_the_shown_answers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(ANSWERS)
    tiles = tuple(
        AuditTile(picture="a", x=0, y=0, width=1000, height=1000, boxes=boxes) for boxes in ((0, 1), (), (), ())
    )
    answers = read_answers(path, Audit(store="s", sha256="0" * 64, seed=0, tiles=tiles))
    assert [a.answer for a in answers] == ["confirm", "reject", "add"]
