"""A version's folder appears whole and readable, or not at all."""

import os
from pathlib import Path

import pytest

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from tests.fakes import make_triage_card
from training.export.publishing import hashes, publish


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, ModelCard]:
    """A folder that its owner alone may read, as those for unfinished work are, and the card of what lies in it."""
    folder = tmp_path / "made"
    folder.mkdir(mode=0o700)
    for name in ("model.onnx", "parity.npz"):
        (folder / name).write_text(name)
        (folder / name).chmod(0o600)
    return folder, make_triage_card().model_copy(update={"files": hashes(folder)})


def test_others_can_read_a_version(made: tuple[Path, ModelCard], tmp_path: Path) -> None:
    folder, card = made
    target = tmp_path / "models" / "triage" / "1.0.0"
    mask = os.umask(0o022)
    try:
        publish(folder, target, card)
    finally:
        os.umask(mask)
    assert load_card(target) == card
    modes = {path.name: path.stat().st_mode & 0o777 for path in (target.parent, target, *target.iterdir())}
    assert modes == {"triage": 0o755, "1.0.0": 0o755, "model.onnx": 0o644, "parity.npz": 0o644, "card.json": 0o644}
    assert list(target.parent.iterdir()) == [target], "nothing unfinished is left"


def test_a_version_never_changes(made: tuple[Path, ModelCard], tmp_path: Path) -> None:
    folder, card = made
    publish(folder, tmp_path / "1.0.0", card)
    with pytest.raises(FileExistsError, match="versions never change"):
        publish(folder, tmp_path / "1.0.0", card)


def test_a_card_of_other_files_is_not_published(made: tuple[Path, ModelCard], tmp_path: Path) -> None:
    folder, card = made
    (folder / "model.onnx").write_text("other weights")
    with pytest.raises(ModelError, match="its card states"):
        publish(folder, tmp_path / "models" / "1.0.0", card)
    assert not (tmp_path / "models").exists()
