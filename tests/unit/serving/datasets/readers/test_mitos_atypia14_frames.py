import json
from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, by_id, draw, imported


def frames(root: Path, **frame: object) -> Path:
    """One frame, a pixel narrower than the file states."""
    draw(root / "frames/H03_00Ab.jpg", 399, 200)
    content = {"slide": "03", "mitoses": [], "look_alikes": [], "uncertain": [], **frame}
    head = {"mpp_x": 0.2273, "mpp_y": 0.2275, "width": 400, "height": 200, "scanner": "Hamamatsu"}
    (root / "labels.json").write_text(json.dumps({**head, "frames": {"H03_00Ab": content}}))
    return root


def at(x: float, y: float, confidence: float | None = None) -> dict[str, object]:
    return {"xy": [x, y], "confidence": confidence}


def test_confidence_is_agreement_and_boxes_are_12_5_um(tmp_path: Path) -> None:
    source = frames(tmp_path, mitoses=[at(100, 80, 0.65), at(200, 80)], look_alikes=[at(300, 80, 0.2)])
    dataset, report = imported("mitos-atypia14-frames", source)
    (picture,) = dataset
    assert [(a.label, a.agreement) for a in picture.annotations] == [
        ("mitotic figure", 0.65),
        ("mitotic figure", 1.0),
        ("look-alike", 0.2),
    ]
    assert report.noted["mitotic figures without a confidence"] == 1
    assert picture.centres().tolist() == [[100, 80], [200, 80]]
    x1, _, x2, _ = picture.annotations[0].box
    assert (x2 - x1) * 0.2274 == pytest.approx(12.5)
    assert picture.mpp == 0.2274
    assert picture.ambiguous_areas == (), "a marked look-alike that one rater of five doubted is a look-alike"


def test_a_slide_is_one_patient_with_its_other_scanner_and_the_earlier_contest(tmp_path: Path) -> None:
    (picture,) = imported("mitos-atypia14-frames", frames(tmp_path))[0]
    assert (picture.slide, picture.patient, picture.width) == ("H03", "mitos/03", 399)


def test_the_uncertain_and_the_contradictory_are_ambiguous(tmp_path: Path) -> None:
    source = frames(
        tmp_path, mitoses=[at(100, 100, 0.4)], look_alikes=[at(200, 100, 0.8)], uncertain=[at(10, 100, 0.5)]
    )
    (picture,) = imported("mitos-atypia14-frames", source)[0]
    assert picture.annotations == ()
    assert len(picture.ambiguous_areas) == 3
    assert min(x1 for x1, *_ in picture.ambiguous_areas) == 0


@pytest.mark.parametrize(
    ("mitoses", "message"),
    [
        ([{"xy": [1]}], r"frames\.H03_00Ab\.mitoses\.0\.xy"),
        ([at(1, 2, 3.0)], r"frames\.H03_00Ab\.mitoses\.0\.confidence"),
        ([{"confidence": 1.0}], r"frames\.H03_00Ab\.mitoses\.0\.xy: Field required"),
    ],
)
def test_a_wrong_file_is_named_by_key(tmp_path: Path, mitoses: list[object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        imported("mitos-atypia14-frames", frames(tmp_path, mitoses=mitoses))


def test_a_frame_without_its_picture_is_left_out(tmp_path: Path) -> None:
    source = frames(tmp_path)
    labels = json.loads((source / "labels.json").read_text())
    labels["frames"]["H04_00Ab"] = labels["frames"]["H03_00Ab"]
    (source / "labels.json").write_text(json.dumps(labels))
    dataset, report = imported("mitos-atypia14-frames", source)
    assert list(by_id(dataset)) == ["frames/H03_00Ab"]
    assert sum(report.dropped.values()) == 1


def test_a_clipped_box_keeps_its_centre(tmp_path: Path) -> None:
    source = frames(tmp_path, mitoses=[at(5, 100, 1.0), at(390, 195, 1.0)])
    (picture,) = imported("mitos-atypia14-frames", source)[0]
    assert boxes(picture)[0][1][0] == 0
    assert picture.centres()[0].tolist() == pytest.approx([5, 100], abs=0.01)
