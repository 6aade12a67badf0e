import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from tests.fakes import make_cards


def _write(folder: Path, *, weights: bytes = b"weights", **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(weights)
    files = {"model.onnx": hashlib.sha256(weights).hexdigest()}
    card = make_cards()[1].model_copy(update={"files": files, **changes})
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


def test_a_whole_card_loads(tmp_path: Path) -> None:
    card = load_card(_write(tmp_path))
    assert card.sha256() == hashlib.sha256(b"weights").hexdigest()


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    (folder / "model.onnx").write_bytes(b"weightz")
    with pytest.raises(ModelError, match="SHA-256"):
        load_card(folder)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match="missing"):
        load_card(folder)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="MITOSIS_MODELS"):
        load_card(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": "1.0"}'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ModelError, match="not a valid model card"):
        load_card(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"detection_threshold": None}, "detection_threshold"),
        ({"merge_radius_um": None}, "merge_radius_um"),
        ({"nms_iou": None}, "nms_iou"),
        ({"task": "screening"}, "screening_threshold"),
        ({"merge_radius_um": 0}, "merge_radius_um"),
        ({"nms_iou": 1.0}, "nms_iou"),
        ({"files": {}}, r"model\.onnx"),
        ({"files": {"model.onnx": "abc"}}, "files"),
        ({"files": {"model.onnx": "0" * 64, "../other": "0" * 64}}, "files"),
        ({"schema_version": "2.0"}, "schema_version"),
        ({"input": {"window_px": 250, "stride_px": 100, "mpp": 0.25, "layout": "x"}}, "stride_px"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_nothing_that_serving_needs_may_be_missing_or_wrong(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        ModelCard.model_validate({**make_cards()[1].model_dump(), **changes})
