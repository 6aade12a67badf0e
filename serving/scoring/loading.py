"""Models of a release are loaded from their folders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from serving.core.errors import ModelError
from serving.core.fusion import CASCADE
from serving.core.modelcard import ModelCard, load_card
from serving.roles.role import MODEL_ROLES, Task
from serving.scoring.models import check_ensemble, newest_release
from serving.scoring.onnx_classifier import OnnxClassifier
from serving.scoring.onnx_detector import (
    TASKS_BESIDE,
    OnnxDetector,
    OnnxEnsemble,
    OnnxOneStage,
    OnnxScreener,
    ReleasedDetector,
)
from serving.scoring.onnx_segmenter import OnnxSegmenter
from serving.scoring.session import Session
from serving.scoring.sessions import choose_providers, label_model, open_session, open_together


def load_detector(root: Path, *, providers: Sequence[str] | None = None) -> ReleasedDetector:
    """The release that the newest versions under `root` make, checked against cards and serving contract.

    providers : execution providers in order of preference; by default the fastest that this machine has

    Raises
    ------
    ModelError
        If a model is missing, altered or breaks the contract, or a provider is unknown.
    """
    wanted = choose_providers(providers)
    return load_release(newest_release(root), providers=wanted)


def load_release(folders: Mapping[str, Path], *, providers: Sequence[str] | None = None) -> ReleasedDetector:
    """The detector of a release, version folders by name, and the atypia and regions models beside it, where there are some.

    The detector is a one-stage detector, or a cascade as of `load_cascade`, or, where an ensemble's card is among them, all
    that it names.

    Raises
    ------
    ModelError
        As `load_detector`.
    """
    wanted = choose_providers(providers)
    alone = [name for name in folders if name in MODEL_ROLES and MODEL_ROLES[name].one_stage]
    fusing = [name for name in folders if name in MODEL_ROLES and MODEL_ROLES[name].fuses]

    def load_finders() -> ReleasedDetector:
        if fusing:
            return _load_ensemble(folders, fusing[0], wanted)
        return _load_one_stage(folders[alone[0]], wanted) if alone else load_cascade(folders, providers=wanted)

    beside: list[Callable[[], Any]] = [lambda: _load_atypia(folders, wanted), lambda: _load_regions(folders, wanted)]
    detector: ReleasedDetector
    detector, atypia, regions = open_together([load_finders, *beside], wanted)
    return replace(detector, atypia=atypia, regions=regions)


def _load_ensemble(folders: Mapping[str, Path], name: str, providers: Sequence[str]) -> OnnxEnsemble:
    """Every detector that an ensemble's card names, of the very versions that it was made of."""
    card = load_card(folders[name])
    members: dict[str, OnnxDetector | OnnxOneStage] = {}
    for detector in check_ensemble(card, folders):
        if detector.name == CASCADE:
            members[detector.name] = load_cascade(folders, providers=providers)
        else:
            members[detector.name] = _load_one_stage(folders[detector.name], providers)
    return OnnxEnsemble(card, members)


def _load_one_stage(folder: Path, providers: Sequence[str]) -> OnnxOneStage:
    card, session = _load(folder, providers)
    return OnnxOneStage(card, session.get_providers()[0], session)


def load_cascade(folders: Mapping[str, Path], *, providers: Sequence[str] | None = None) -> OnnxDetector:
    """The models of a cascade in version folders, by name, checked as `load_detector` does.

    Models that the cascade does not run are passed over; those that it may go without may be absent.

    Raises
    ------
    ModelError
        As `load_detector`.
    """
    wanted = choose_providers(providers)
    names = MODEL_ROLES.cascade()
    if missing := [name for name in MODEL_ROLES.missing(folders) if name not in folders]:
        raise ModelError(f"a cascade needs {' and '.join(missing)} too; there are {', '.join(folders) or 'no models'}")
    beside = [names[task] for task in TASKS_BESIDE if names.get(task) in folders]
    opening: list[Callable[[], Any]] = [
        partial(load_screener, folders[names["screening"]], providers=wanted),
        *(partial(_load, folders[name], wanted) for name in (names["detection"], *beside)),
    ]
    screener, (card, detection), *others = open_together(opening, wanted)
    found = dict(zip(beside, others, strict=True))
    verifier, triage = (found.get(names.get(task, ""), (None, None)) for task in TASKS_BESIDE)
    if triage[0] is not None and triage[0].input.mpp != screener.card.input.mpp:
        raise ModelError(
            f"{label_model(triage[0])} sees pixels of {triage[0].input.mpp:g} um and {label_model(screener.card)} of "
            f"{screener.card.input.mpp:g}: both are shown the same, so release a triage model of that resolution"
        )
    return OnnxDetector(card, screener, detection, *verifier, *triage)


def _load_atypia(folders: Mapping[str, Path], providers: Sequence[str]) -> OnnxClassifier | None:
    """The model that judges what the detector found; None where the release has none."""
    folder = _find_beside(folders, "classification")
    if folder is None:
        return None
    card, session = _load(folder, providers)
    return OnnxClassifier(card, session.get_providers()[0], session)


def _load_regions(folders: Mapping[str, Path], providers: Sequence[str]) -> OnnxSegmenter | None:
    """The model that says where figures count; None where the release has none."""
    folder = _find_beside(folders, "segmentation")
    if folder is None:
        return None
    card, session = _load(folder, providers)
    return OnnxSegmenter(card, session.get_providers()[0], session)


def _find_beside(folders: Mapping[str, Path], task: Task) -> Path | None:
    roles = {name: MODEL_ROLES[name] for name in folders if name in MODEL_ROLES}
    return next((folders[name] for name, role in roles.items() if role.beside and role.task == task), None)


def _load(folder: Path, providers: Sequence[str]) -> tuple[ModelCard, Session]:
    card = load_card(folder)
    return card, open_session(folder, card, providers)


def load_screener(folder: Path, *, providers: Sequence[str] | None = None) -> OnnxScreener:
    """The screening model in `folder`, a version folder with card.json, checked as `load_detector` does.

    Raises
    ------
    ModelError
        If it is missing, altered, of another task or breaks the contract, or a provider is unknown.
    """
    wanted = choose_providers(providers)
    card = load_card(folder)
    if card.task != "screening":
        raise ModelError(
            f"{label_model(card)} in {folder} is a {card.task} model; give the folder of a screening model"
        )
    session = open_session(folder, card, wanted)
    return OnnxScreener(card, session.get_providers()[0], session)
