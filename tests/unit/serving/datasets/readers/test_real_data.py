"""The labelled data itself, where it is there: the counts that its README states."""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from serving.datasets.patient import parse_case
from serving.datasets.store import Dataset, Picture
from tests.unit.serving.datasets.readers.layout import imported

FULL = {
    "icpr2012-fields": ("icpr2012", None),
    "mitos-atypia14-frames": ("atypia14", "atypia14/frames"),
    "midog-tiles": ("midog094", None),
}
"""Sets in which every figure of a picture is labelled: format to path and folder of images."""


@cache
def read(root: Path, format_name: str, path: str, images: str | None = None) -> Dataset:
    return imported(format_name, root / path, root / images if images else None)[0]


def counts(pictures: list[Picture]) -> tuple[int, int, int]:
    """Pictures, figures and look-alikes."""
    labels = Counter(a.label for p in pictures for a in p.annotations)
    return len(pictures), labels["mitotic figure"], labels["look-alike"]


@pytest.mark.parametrize(
    ("format_name", "path", "images", "expected"),
    [
        ("icpr2012-fields", "icpr2012", None, (40, 247, 0)),
        ("mitos-atypia14-frames", "atypia14", "atypia14/frames", (161, 396, 591)),
        ("mitos-atypia14-crops", "atypia14/aperio_crops50", None, (465, 465, 0)),
        ("midog-tiles", "midog094", None, (1, 57, 68)),
        ("brecahad", "brecahad", None, (19, 47, 50)),
        ("tupac16-look-alikes", "tupac-look-alikes", None, (178, 0, 178)),
    ],
)
def test_counts_are_those_of_the_readme(
    shared_data: Path, format_name: str, path: str, images: str | None, expected: tuple[int, int, int]
) -> None:
    if not (shared_data / path).exists():
        pytest.skip(f"MITOSIS_DATA holds no {path}")
    assert counts(list(read(shared_data, format_name, path, images))) == expected


def test_fully_labelled_tissue_is_of_eleven_groups_and_crops_are_of_theirs(shared_data: Path) -> None:
    if not (shared_data / "atypia14").exists():
        pytest.skip("MITOSIS_DATA holds no atypia14")
    pictures = [p for name, (path, images) in FULL.items() for p in read(shared_data, name, path, images)]
    groups = {p.patient for p in pictures}
    assert len(groups) == 11
    slides = {p.patient: {q.slide for q in pictures if q.patient == p.patient} for p in pictures}
    assert slides["mitos/03"] == {"A03", "H03"}
    assert slides["mitos/04"] == {"A04", "H04"}
    aperio = {p.patient for p in read(shared_data, "mitos-atypia14-crops", "atypia14/aperio_crops50")}
    assert aperio <= groups
    with (shared_data / "amibr.csv").open(newline="") as handle:
        amibr = {parse_case(row["dataset"], row["slide"]) for row in csv.DictReader(handle)}
    assert "midog/094" in amibr
    look_alikes = {p.patient for p in read(shared_data, "tupac16-look-alikes", "tupac-look-alikes")}
    assert look_alikes == {"tupac16/27", "tupac16/30", "tupac16/32", "tupac16/36"}
    assert "tupac16/27" in amibr


def test_figures_of_each_icpr_slide(shared_data: Path) -> None:
    figures: Counter[str] = Counter()
    for picture in read(shared_data, "icpr2012-fields", "icpr2012"):
        figures[picture.slide] += len(picture.boxes())
    if len(figures) == 3:
        pytest.skip("MITOSIS_DATA holds the earlier fields")
    assert figures == {"A00": 29, "A02": 36, "A03": 122, "A04": 60}
