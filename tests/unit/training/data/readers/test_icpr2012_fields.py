import json
from pathlib import Path

import pytest

from tests.unit.training.data.readers.layout import by_id, draw, imported
from training.data.icpr2012 import read_fields, read_painted_fields
from training.data.import_report import FormatError


def write(root: Path, *, boxes: object = ((10, 20, 30, 40),)) -> Path:
    """One clean and one painted field."""
    head = {"mpp": 0.2456, "width": 200, "height": 100}
    (root / "fields.json").write_text(json.dumps({**head, "fields": {"A00_00": {"boxes_xyxy": boxes}}}))
    painted = {"A02_01": {"painted_xyxy": [[0, 0, 50, 50]], "mitoses_xyxy": [[5, 5, 45, 45]]}}
    (root / "painted_fields.json").write_text(json.dumps({**head, "fields": painted}))
    draw(root / "fields/A00_00.jpg")
    draw(root / "painted_fields/A02_01.jpg")
    return root


def test_paint_is_unlabelled_area_and_no_annotation(tmp_path: Path) -> None:
    pictures = by_id(imported("icpr2012-fields", write(tmp_path))[0])
    painted = pictures["painted_fields/A02_01"]
    assert painted.annotations == ()
    assert painted.unlabelled_areas == ((0, 0, 50, 50), (5, 5, 45, 45))
    assert pictures["fields/A00_00"].annotations[0].box == (10, 20, 30, 40)
    assert pictures["fields/A00_00"].slide == "A00"


def test_a_wrong_file_is_named_by_key(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"fields\.json: fields\.A00_00\.boxes_xyxy\.0\.3: Field required"):
        imported("icpr2012-fields", write(tmp_path, boxes=[[1, 2, 3]]))


def test_the_real_fields_hold_what_the_present_training_reads(shared_data: Path) -> None:
    pictures = {Path(p.path).stem: p for p in imported("icpr2012-fields", shared_data / "icpr2012")[0]}
    fields, painted = read_fields(shared_data), read_painted_fields(shared_data)
    assert len(pictures) == len(fields) + len(painted) == 30
    for field in fields:
        assert (pictures[field.name].boxes() == field.boxes).all()
        assert (pictures[field.name].width, pictures[field.name].height) == (2084, 2084)
    for field in painted:
        assert pictures[field.name].unlabelled_areas == tuple(tuple(b) for b in field.forbidden.tolist())
    assert {p.patient for p in pictures.values()} == {"mitos2012/00", "mitos2012/02", "mitos2012/03"}
