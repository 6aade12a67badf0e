"""The models folder: <name>/<version>/{model.onnx, card.json, parity.npz}, versions never change."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from serving.core.errors import ModelError
from serving.core.fusion import CASCADE, FusedDetector
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
    """The folders of the newest version of each model that scoring runs, by name, in the order in which they see a slide.

    Those are the models of one detector, and what is asked beside it; where there is an ensemble, the versions that the newest
    names.

    Raises
    ------
    ModelError
        If there is neither a whole cascade nor a one-stage detector, or an ensemble names a version that is not there.
    """
    found = {name: folder for name in MODEL_ROLES if (folder := find_model(root, name)) is not None}
    if fusing := [name for name in found if MODEL_ROLES[name].fuses]:
        return _find_fused(root, found, fusing[0])
    runs = [name for name, role in MODEL_ROLES.items() if role.in_cascade or role.one_stage or role.beside]
    chosen = [name for name in MODEL_ROLES.choose(found) if name in runs]
    for name in MODEL_ROLES.missing(chosen):
        model_folder(root, name)  # says which one is missing, and where it was looked for
    return {name: found[name] for name in chosen}


def _find_fused(root: Path, newest: Mapping[str, Path], name: str) -> dict[str, Path]:
    """The folders of an ensemble's versions, and the newest of what is asked beside detectors."""
    card = load_card(newest[name])
    stated = [] if card.fusion is None else card.fusion.models
    folders = {model.name: root / model.name / model.version for model in stated}
    chosen = (
        folders | {name: newest[name]} | {beside: newest[beside] for beside in newest if MODEL_ROLES[beside].beside}
    )
    check_ensemble(card, chosen)
    return {name: chosen[name] for name in MODEL_ROLES if name in chosen}


def check_ensemble(card: ModelCard, folders: Mapping[str, Path]) -> list[FusedDetector]:
    """The detectors of an ensemble, whose versions are those in `folders`, by the names of their models.

    Raises
    ------
    ModelError
        If a version is missing, is not the one that the ensemble was made of, or two detectors cannot be told apart.
    """
    label, detectors = f"{card.name}@{card.version}", [] if card.fusion is None else card.fusion.detectors
    for detector in detectors:
        for model in detector.models:
            path = folders[model.name] / "card.json" if model.name in folders else None
            if path is None or not path.is_file():
                raise ModelError(
                    f"{label} was made of {model.label}, which is not there: add it, or make another ensemble"
                )
            if hashlib.sha256(path.read_bytes()).hexdigest() != model.card:
                raise ModelError(
                    f"{label} was made of another {model.label} than the one in {path.parent}: restore that, or make another "
                    "ensemble"
                )
        names = [model.name for model in detector.models]
        if detector.name == CASCADE:
            fits = all(name in MODEL_ROLES and MODEL_ROLES[name].in_cascade for name in names)
        else:
            fits = names == [detector.name] and detector.name in MODEL_ROLES and MODEL_ROLES[detector.name].one_stage
        if not fits:
            raise ModelError(
                f"{label} calls {', '.join(names)} {detector.name}: a cascade's models are {CASCADE}, and a one-stage detector is "
                "called by its role"
            )
    return detectors


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
