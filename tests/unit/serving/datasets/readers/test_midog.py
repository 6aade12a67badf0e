import json
from pathlib import Path
from typing import Any

import pytest

from serving.datasets.import_report import FormatError
from serving.datasets.readers.classes import ClassNames
from tests.unit.serving.datasets.readers.layout import by_id, draw, imported

SPLITS = (
    "Slide;Dataset;Tumor;Scanner;Origin;Species\n"
    "1;train;human breast cancer;Hamammatsu XR;UMC Utrecht;Human\n"
    "2;test;human breast cancer;Hamamatsu S360;UMC Utrecht;Human\n"
)


def write(
    folder: Path, *boxes: dict[str, Any], names: tuple[str, str] = ("mitotic figure", "not mitotic figure")
) -> Path:
    """A file as published: three cases of 5,000 x 400 px."""
    content = {
        "info": {"version": "1.0"},
        "licenses": [{"id": 1}],
        "images": [
            {
                "license": 1,
                "file_name": f"00{i}.tiff",
                "id": i,
                "width": 5000,
                "height": 400,
                "tumor_type": "human breast cancer",
            }
            for i in (1, 2, 3)
        ],
        "categories": [{"id": 1, "name": names[0]}, {"id": 2, "name": names[1]}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, **box} for n, box in enumerate(boxes)],
    }
    path = folder / "MIDOG++.json"
    path.write_text(json.dumps(content))
    return path


def test_a_box_is_two_corners_and_not_a_corner_and_a_size(tmp_path: Path) -> None:
    dataset, _ = imported("midog", write(tmp_path, {"bbox": [4336, 346, 4386, 396]}))
    (figure,) = by_id(dataset)["001"].annotations
    assert figure.box == (4336, 346, 4386, 396)
    assert figure.nominal
    assert (figure.label, figure.agreement) == ("mitotic figure", 1.0)


def test_a_file_that_gives_sizes_is_refused_by_its_box(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [10, 10, 60, 60]}, {"bbox": [4336, 346, 50, 50]})
    with pytest.raises(FormatError, match=r"MIDOG\+\+\.json: annotations\.1\.bbox: .*is it x, y, width, height"):
        imported("midog", path)


def test_boxes_over_the_edge_are_clipped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [-20, 10, 30, 60]}, {"bbox": [4980, 390, 5030, 440]}, {"bbox": [-60, 0, -10, 50]})
    dataset, report = imported("midog", path)
    assert [a.box for a in by_id(dataset)["001"].annotations] == [(0, 10, 30, 60), (4980, 390, 5000, 400)]
    assert sum(report.clipped.values()) == 2
    assert sum(report.dropped.values()) == 1


def test_classes_go_by_whole_name_whatever_their_ids(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"bbox": [0, 0, 50, 50], "category_id": 1},
        {"bbox": [100, 0, 150, 50], "category_id": 2},
        names=("Not Mitotic Figure", "Mitotic figure"),
    )
    dataset, _ = imported("midog", path)
    assert [a.label for a in by_id(dataset)["001"].annotations] == ["look-alike", "mitotic figure"]


def test_votes_become_agreement(tmp_path: Path) -> None:
    votes = [[1, 1], [2, 2], [2, 2, 2], [1, 2, 1], [2, 1, 2]]
    category = [1, 2, 2, 1, 2]
    path = write(
        tmp_path,
        *({"bbox": [0, 0, 50, 50], "category_id": c, "labels": v} for c, v in zip(category, votes, strict=True)),
    )
    dataset, report = imported("midog", path)
    annotations = by_id(dataset)["001"].annotations
    assert [a.agreement for a in annotations] == pytest.approx([1, 0, 0, 2 / 3, 1 / 3])
    assert annotations[4].label == "look-alike"
    assert [v.mitotic for v in annotations[3].votes] == [True, False, True]
    # One of three is below the paper's two-labeler rule: background, or left out by `exclude_ambiguous_negatives`.
    assert by_id(dataset)["001"].ambiguous_areas == (annotations[4].box,)
    assert report.noted["look-alikes that some rater called a mitotic figure: ambiguous areas"] == 1


def test_a_case_without_boxes_is_unlabelled_and_not_negative(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [0, 0, 50, 50]})
    dataset, _ = imported("midog", path)
    assert [p.labelled for p in dataset] == [True, False, False]


def test_the_table_of_splits_says_who_was_labelled_and_spells_one_maker_in_one_way(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [0, 0, 50, 50]})
    (tmp_path / "datasets_xvalidation.csv").write_text(SPLITS)
    dataset, _ = imported("midog", path)
    pictures = by_id(dataset)
    # Case 2 was looked at and shows nothing; case 3 was never looked at.
    assert [pictures[i].labelled for i in ("001", "002", "003")] == [True, True, False]
    assert pictures["001"].attributes["scanner"] == "Hamamatsu XR"
    assert pictures["002"].attributes["split"] == "test"
    assert pictures["001"].patient == "midog/001"


def test_a_wrong_table_of_splits_is_named_by_line_and_field(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [0, 0, 50, 50]})
    (tmp_path / "datasets_xvalidation.csv").write_text(SPLITS.replace(";test;", ";held out;"))
    with pytest.raises(FormatError, match=r"datasets_xvalidation\.csv: line 3, field Dataset: is 'held out'"):
        imported("midog", path)


def test_sizes_come_from_pictures_and_contradictions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [0, 0, 50, 50]})
    draw(tmp_path / "001.tiff", 5000, 400)
    dataset, report = imported("midog", path)
    assert by_id(dataset)["001"].path == "001.tiff"
    assert sum(n for reason, n in report.noted.items() if "not in the folder" in reason) == 2
    draw(tmp_path / "002.tiff", 100, 100)
    with pytest.raises(FormatError, match=r"images\.1: states 5000 x 400 px, 002\.tiff has 100 x 100"):
        imported("midog", path)


@pytest.mark.parametrize(
    ("box", "where"),
    [
        ({"bbox": [0, 0, 50]}, r"annotations\.0\.bbox"),
        ({"bbox": [0, 0, 50, "x"]}, r"annotations\.0\.bbox\.3"),
        ({"bbox": [0, 0, 50, 50], "image_id": 9}, r"annotations\.0\.image_id: no image has the id 9"),
        ({"bbox": [0, 0, 50, 50], "category_id": 7}, r"annotations\.0\.category_id: no category has the id 7"),
        ({"bbox": [0, 0, 50, 50], "labels": [1, 3]}, r"annotations\.0\.labels: no category has the id 3"),
    ],
)
def test_a_wrong_file_is_named_by_key(tmp_path: Path, box: dict[str, Any], where: str) -> None:
    with pytest.raises(FormatError, match=rf"MIDOG\+\+\.json: {where}"):
        imported("midog", write(tmp_path, box))


def test_a_file_whose_classes_mean_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"bbox": [0, 0, 50, 50]}, names=("MF", "NMF"))
    with pytest.raises(FormatError, match=r"categories: no class means a mitotic figure \(classes: 'MF', 'NMF'\)"):
        imported("midog", path)
    dataset, _ = imported("midog", path, classes=ClassNames().with_more(mitotic=["mf"], look_alike=["nmf"]))
    assert len(by_id(dataset)["001"].boxes()) == 1
