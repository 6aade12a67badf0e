"""What docs/datasets.md shows is what the readers take."""

import re
from pathlib import Path

from serving.datasets.readers.classes import ClassNames
from serving.datasets.readers.registry import FORMATS
from tests.unit.serving.datasets.readers.layout import boxes, draw, imported

PAGE = (Path(__file__).parents[4] / "docs/datasets.md").read_text()


def test_every_format_has_a_line() -> None:
    section = PAGE.split("## Formats")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == sorted(FORMATS)


def test_the_shown_table_is_read(tmp_path: Path) -> None:
    for name in ("slide-07", "slide-08"):
        draw(tmp_path / f"{name}.png", 1000, 1000)
    (table,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "labels.csv").write_text(table)
    first, second = imported("csv", tmp_path / "labels.csv")[0]
    assert boxes(first) == [("mitotic figure", (102, 88, 141, 130)), ("look-alike", (700, 12, 731, 40))]
    assert first.annotations[0].agreement == 0.8
    assert (second.labelled, second.annotations) == (True, ())


def test_the_told_classes_mean_what_is_told() -> None:
    lines = PAGE.split("| class | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    figures, look_alikes = ([n.strip(' "') for n in line.split("|")[1].split(",")] for line in lines[:2])
    names = ClassNames()
    assert {names.find_label(name) for name in figures} == {"mitotic figure"}
    assert {names.find_label(name) for name in look_alikes} == {"look-alike"}
