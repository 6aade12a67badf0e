from pathlib import Path

import pytest

from serving.datasets.formats import import_dataset
from serving.datasets.import_report import FormatError
from serving.datasets.readers.source import Source
from tests.unit.serving.datasets.readers.layout import boxes, draw, imported

HEADER = "field,class,cx,cy,w,h"


def write(root: Path, *rows: str) -> Path:
    for name in ("Case_11-07", "Case_12-05"):
        draw(root / f"fields/{name}.jpg")
    nuclei = [f"Case_11-07,Tumor_nuclei,{50 + i},50,30,{30 + i}" for i in range(3)]
    (root / "labels.csv").write_text("\n".join([HEADER, *nuclei, *rows]) + "\n")
    return root


def test_apoptoses_are_look_alikes_and_nuclei_are_tissue(tmp_path: Path) -> None:
    source = write(tmp_path, "Case_12-05,Mitosis,100,50,20,30", "Case_12-05,Apoptosis,5,50,20,20")
    dataset, report = imported("brecahad", source)
    first, second = dataset
    assert first.annotations == ()
    assert first.labelled
    assert boxes(second) == [("mitotic figure", (90, 35, 110, 65)), ("look-alike", (0, 40, 15, 60))]
    assert [p.patient for p in dataset] == ["brecahad/11", "brecahad/12"]
    assert report.dropped["objects of class 'Tumor_nuclei'"] == 3


def test_no_resolution_is_guessed_and_the_report_says_how_large_nuclei_are(tmp_path: Path) -> None:
    dataset, report = imported("brecahad", write(tmp_path, "Case_12-05,Mitosis,100,50,20,30"))
    assert [p.mpp for p in dataset] == [None, None]
    assert any("tumor nuclei of Case_11, 30 px across" in note for note in report.noted)


def test_a_resolution_for_each_case(tmp_path: Path) -> None:
    source = write(tmp_path, "Case_12-05,Mitosis,100,50,20,30")
    given = Source(source, source, "t", "none", mpp_of={"Case_11": 0.35, "Case_12": 0.2})
    dataset, report = import_dataset("brecahad", given)
    assert {p.slide: p.mpp for p in dataset} == {"Case_11": 0.35, "Case_12": 0.2}
    assert not any("--mpp-of" in note for note, count in report.noted.items() if count)
    with pytest.raises(FormatError, match=r"slide Case_13: there is none \(slides: Case_11, Case_12\)"):
        import_dataset("brecahad", Source(source, source, "t", "none", mpp_of={"Case_13": 0.2}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Case_12-05,mitoses,1,1,2,2", "line 5, field class"),
        ("Case_12-05,Mitosis,1,1,0,2", "line 5, field w"),
        ("Case12,Mitosis,1,1,2,2", "field Case12"),
        ("Case_12-05,Mitosis,1,1,nan,2", "line 5, field w"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        imported("brecahad", write(tmp_path, row))
