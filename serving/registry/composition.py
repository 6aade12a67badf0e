"""Which models make a release: one detector, a cascade, or an ensemble with those that it was made of."""

from collections.abc import Callable, Sequence

from serving.core.modelcard import ModelCard
from serving.registry.version import RegistryError, VersionId
from serving.roles.role import MODEL_ROLES

FindVersion = Callable[[str], tuple[VersionId, ModelCard]]
"""The version of a label, such as det@1.2.0, and its card."""


def check_composition(names: Sequence[str]) -> None:
    """Raise `RegistryError` where a model of a cascade is missing, one is named twice or of no use, or two detectors are named."""
    if unknown := [name for name in names if name not in MODEL_ROLES or names.count(name) > 1]:
        raise RegistryError(
            f"{unknown[0]} is no model of a release, or named twice; it takes one each of {', '.join(MODEL_ROLES)}"
        )
    if rivals := MODEL_ROLES.rivals(names):
        raise RegistryError(
            f"{' and '.join(rivals)} are detectors each: a release has one, or a cascade, or an ensemble of them; "
            "`mitoserve models ensemble` makes one"
        )
    if missing := MODEL_ROLES.missing(names):
        raise RegistryError(
            f"a cascade needs {' and '.join(missing)} too: name a version of each, thresholds are joint"
        )


def add_fused(labels: Sequence[str], find: FindVersion) -> list[str]:
    """The labels, and those of the versions that an ensemble among them was made of.

    Raises
    ------
    RegistryError
        If a detector is named that is not the ensemble's.
    NotFoundError, ModelError
        As `find`.
    """
    found = [find(label) for label in labels]
    fused = next((card for _, card in found if card.fusion is not None), None)
    if fused is None or fused.fusion is None:
        return list(labels)
    wanted = {model.name: model.label for model in fused.fusion.models}
    added = [label for name, label in wanted.items() if name not in {version.name for version, _ in found}]
    for version, _ in [*found, *(find(label) for label in added)]:
        role = MODEL_ROLES.get(version.name)
        finds = role is not None and (role.in_cascade or role.one_stage)
        if finds and wanted.get(version.name) != version.label:
            raise RegistryError(
                f"{version.label} is no part of {fused.name}@{fused.version}, which was made of {', '.join(wanted.values())}: "
                "its weights hold for these alone"
            )
        pinned = next((model for model in fused.fusion.models if model.label == version.label), None)
        if pinned is not None and pinned.card != version.digest:
            raise RegistryError(
                f"{version.label} is not the one that {fused.name}@{fused.version} was made of: its card had SHA-256 "
                f"{pinned.card[:12]}..., now {version.digest[:12]}..."
            )
    return [*labels, *added]
