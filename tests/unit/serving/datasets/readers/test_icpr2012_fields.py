import json
from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import by_id, draw, imported


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
