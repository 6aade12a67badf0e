"""What the models of a cascade are made of: runs of `train`, and released versions that stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from serving.core.modelcard import load_card
from serving.roles.role import MODEL_ROLES
from training.evaluation.cascade_figures import version_folders
from training.evaluation.judgement import ModelName
from training.export.origins import recipe_digest
from training.recipes.reading import read_recipe
from training.recipes.record import read_record

MODELS: tuple[ModelName, ...] = get_args(ModelName)


@dataclass(frozen=True, slots=True)
class CascadeParts:
    """A cascade's models, in the order in which they see a slide.

    runs : of each model that is made anew; a verifier may have several, which answer together
    kept : version folders of the others
    """

    runs: Mapping[ModelName, Sequence[Path]] = field(default_factory=dict)
    kept: Mapping[ModelName, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that each model comes from one place; raises `ValueError` naming the one that does not."""
        for name in MODELS:
            if self.runs.get(name) and name in self.kept:
                raise ValueError(f"{name} is to be made of {self.runs[name][0]} and kept: choose one")
            if MODEL_ROLES[name].required and name not in self.names:
                raise ValueError(f"a cascade needs a {name}: give its run, or a version to keep")

    @property
    def names(self) -> tuple[ModelName, ...]:
        """The models that there are."""
        return tuple(name for name in MODELS if self.runs.get(name) or name in self.kept)

    @property
    def last(self) -> ModelName:
        """The model whose word counts."""
        return self.names[-1]

    def made_by(self) -> dict[ModelName, str]:
        """See `FoldDetections.made_by`."""
        made: dict[ModelName, str] = {}
        for name in self.names:
            if name in self.kept:
                made[name] = f"weights {load_card(self.kept[name]).sha256()}"
            else:
                digests = {recipe_digest(read_recipe(run), of_any_seed=True) for run in self.runs[name]}
                made[name] = f"recipe {'+'.join(sorted(digests))}"
        return made

    def seen(self) -> frozenset[str]:
        """Patients that the runs saw.

        Raises
        ------
        ValueError
            If one does not state what it learnt from.
        """
        seen: set[str] = set()
        for run in (run for runs in self.runs.values() for run in runs):
            record = read_record(run)
            if record is None:
                raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
            seen |= record.seen
        return frozenset(seen)


def read_parts(
    regns: Path | None, det: Path | None, verifiers: Sequence[Path], keep: Sequence[str], models: Path
) -> CascadeParts:
    """The parts that a command names; see `find_kept_versions` for the last two."""
    return CascadeParts(_runs(regns, det, verifiers), find_kept_versions(keep, models))


def fold_parts(
    regns: Path | None,
    det: Path | None,
    verifiers: Sequence[Path],
    *,
    models: Path | None,
    version: str | None,
    keep: Sequence[str],
) -> CascadeParts:
    """Runs, and released versions of what they do not give: of each the one that `keep` names, else that of `version`.

    models : folder of <name>/<version>

    Raises
    ------
    FileNotFoundError
        If there is no such version, or Reg-NS or Det has none.
    ValueError
        If a model is missing or comes from two places, or `models` is given without a version, or the other way round.
    """
    if (models is None) == (version is not None or bool(keep)):
        raise ValueError("give a folder of models and their --version, or --keep, together")
    runs = _runs(regns, det, verifiers)
    if models is None:
        return CascadeParts(runs)
    kept = find_kept_versions(keep, models)
    if version is not None:
        versions = version_folders(models, version)
        kept = {name: versions[name] for name in MODELS if name in versions and name not in runs} | kept
    return CascadeParts(runs, kept)


def _runs(regns: Path | None, det: Path | None, verifiers: Sequence[Path]) -> dict[ModelName, Sequence[Path]]:
    given: dict[ModelName, Sequence[Path]] = {
        "reg-ns": [] if regns is None else [regns],
        "det": [] if det is None else [det],
        "verifier": list(verifiers),
    }
    return {name: runs for name, runs in given.items() if runs}


def find_kept_versions(words: Sequence[str], models: Path) -> dict[ModelName, Path]:
    """Folders of versions that stay. words : such as `reg-ns=1.3.0`. models : folder of <name>/<version>.

    Raises
    ------
    ValueError
        If a word is not of this form or names another model.
    FileNotFoundError
        If there is no such version.
    """
    known = {name.replace("-", ""): name for name in MODELS}
    kept: dict[ModelName, Path] = {}
    for word in words:
        name, _, version = word.partition("=")
        if name.replace("-", "") not in known or not version:
            raise ValueError(f"--keep {word}: give one of {', '.join(MODELS)} with a version, such as reg-ns=1.3.0")
        folder = models / known[name.replace("-", "")] / version
        if not (folder / "card.json").is_file():
            raise FileNotFoundError(f"{folder} holds no card.json: there is no such version to keep")
        kept[known[name.replace("-", "")]] = folder
    return kept
