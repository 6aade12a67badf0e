"""`mitotic-figures.json` of others is read as its contract says, or refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.core.errors import RequestError
from serving.evaluation.challenge_points import DetectionsOfOthers, read_challenge_points

POINT = {"name": "mitotic figure", "point": [0.1, 0.05, 0], "probability": 0.8}


def document(*points: dict[str, Any]) -> str:
    return json.dumps({"type": "Multiple points", "points": list(points), "version": {"major": 1, "minor": 0}})


def test_points_are_in_mm_and_told_apart_by_name() -> None:
    other = POINT | {"name": "non-mitotic figure", "probability": 0.3}
    found = read_challenge_points(document(POINT, other), 0.25, what="theirs")
    assert found.counted == ((400.0, 200.0, 0.8),)
    assert found.below == ((400.0, 200.0, 0.3),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no mitotic-figures.json"),
        (json.dumps({"type": "Point", "points": []}), "of type 'Point'"),
        (document(POINT | {"name": "mitosis"}), "calls a point 'mitosis'"),
        (document(POINT | {"probability": 2}), r"points.0.probability"),
        (document(POINT | {"point": [1]}), r"points.0.point"),
    ],
)
def test_what_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        read_challenge_points(text, 0.25, what="theirs")


def test_a_folder_and_a_file_name_their_pictures(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.json").write_text(document(POINT))
    (tmp_path / "all.json").write_text(json.dumps({"a": json.loads(document(POINT))}))
    for path in (tmp_path / "one", tmp_path / "all.json"):
        others = DetectionsOfOthers(path)
        assert len(others.find(["x/a.tiff", "a"], 0.25).counted) == 1
        with pytest.raises(RequestError, match="states nothing for b"):
            others.find(["b"], 0.25)
    (tmp_path / "all.json").write_text("[]")
    with pytest.raises(RequestError, match="must be an object"):
        DetectionsOfOthers(tmp_path / "all.json")
