"""The models folder: <name>/<version>/{model.onnx, card.json, parity.npz}, versions never change."""

from pathlib import Path

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.roles.role import MODEL_ROLES


def list_models(root: Path) -> list[ModelCard]:
    """All validated cards under `root`, by name, the newest version of each first.

    Raises
    ------
    ModelError
        If a card or one of its files is missing or altered.
    """
    folders = [path.parent for path in root.glob("*/*/card.json")]
    newest_first = sorted(folders, key=lambda folder: version_order(folder.name), reverse=True)
    return [load_card(folder) for folder in sorted(newest_first, key=lambda folder: folder.parent.name)]


def newest_release(root: Path) -> dict[str, Path]:
    """The folders of the newest version of each model of one detector, by name, in the order in which they see a slide.

    Raises
    ------
    ModelError
        If there is neither a whole cascade nor a one-stage detector.
    """
    found = {name: folder for name in MODEL_ROLES if (folder := find_model(root, name)) is not None}
    runs = [name for name, role in MODEL_ROLES.items() if role.in_cascade or role.one_stage]
    chosen = [name for name in MODEL_ROLES.choose(found) if name in runs]
    for name in MODEL_ROLES.missing(chosen):
        model_folder(root, name)  # says which one is missing, and where it was looked for
    return {name: found[name] for name in chosen}


def model_folder(root: Path, name: str) -> Path:
    """The folder of the newest version of a model.

    Raises
    ------
    ModelError
        If there is none; the message says where it was looked for.
    """
    folder = find_model(root, name)
    if folder is None:
        raise ModelError(f"no model {name!r} in {root}; set MITOSIS_MODELS to a folder of <name>/<version>/card.json")
    return folder


def find_model(root: Path, name: str) -> Path | None:
    """The folder of the newest version of a model that a cascade may go without; None if there is none."""
    versions = [path.parent for path in (root / name).glob("*/card.json")]
    return max(versions, key=lambda folder: version_order(folder.name), default=None)


def version_order(text: str) -> list[int]:
    """What versions are sorted by; raises `ModelError` where `text` is no version."""
    try:
        return [int(part) for part in text.split(".")]
    except ValueError as error:
        raise ModelError(f"model version {text!r} is not of the form 1.2.3") from error
