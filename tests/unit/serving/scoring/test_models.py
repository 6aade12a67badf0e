import hashlib
from pathlib import Path

import pytest

from serving.core.errors import ModelError
from serving.scoring.loading import load_detector
from serving.scoring.models import list_models, model_folder
from tests.fakes import make_cards


def _release(root: Path, name: str, version: str) -> Path:
    folder = root / name / version
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights")
    files = {"model.onnx": hashlib.sha256(b"weights").hexdigest()}
    card = make_cards()[name == "det"].model_copy(update={"files": files, "version": version})
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


def test_the_newest_version_is_by_number_not_by_letter(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        _release(tmp_path, "det", version)
    assert model_folder(tmp_path, "det").name == "0.10.0"


def test_models_are_listed_by_name_the_newest_first(tmp_path: Path) -> None:
    for name, version in (("reg-ns", "0.1"), ("det", "0.9"), ("det", "0.10"), ("det", "0.10.1")):
        _release(tmp_path, name, version)
    listed = [(card.name, card.version) for card in list_models(tmp_path)]
    assert listed == [("det", "0.10.1"), ("det", "0.10"), ("det", "0.9"), ("reg-ns", "0.1")]


def test_a_missing_model_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'reg-ns'.*MITOSIS_MODELS"):
        model_folder(tmp_path, "reg-ns")
    assert list_models(tmp_path) == []


def test_an_altered_model_is_not_listed_but_refused(tmp_path: Path) -> None:
    folder = _release(tmp_path, "det", "0.1.0")
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="SHA-256"):
        list_models(tmp_path)


def test_a_version_that_is_no_version_is_refused(tmp_path: Path) -> None:
    _release(tmp_path, "det", "latest")
    with pytest.raises(ModelError, match="latest"):
        model_folder(tmp_path, "det")


def test_weights_that_are_no_graph_are_a_model_error(tmp_path: Path) -> None:
    for name in ("reg-ns", "det"):
        _release(tmp_path, name, "0.1.0")
    with pytest.raises(ModelError, match="does not load"):
        load_detector(tmp_path, providers=["CPUExecutionProvider"])


def test_an_unknown_provider_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown execution provider AbacusExecutionProvider"):
        load_detector(tmp_path, providers=["AbacusExecutionProvider"])
