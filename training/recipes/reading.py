"""Recipes from TOML files, and as the folder of a run states them."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.models.classes import MODELS
from training.recipes.registry import KINDS, RecipeKind

FOLDER = Path(__file__).parent
PRESETS = ("paper", "default")
"""Files with a recipe of each of the paper's classes: the paper's to the letter (Appendix B; momentum and weight decay of
SGD, which it does not state, as torchvision's), and one that works better here."""
RECIPE_FILE = "recipe.json"


def list_shipped_recipes() -> list[str]:
    """Names of the recipes that are files of this package, beside the classes of the paper."""
    return sorted(p.stem for p in FOLDER.glob("*.toml") if "kind" in _toml(p))


def load_recipe(name: str, preset: str = "default") -> RecipeKind:
    """The recipe of a model class by a preset, that of a TOML file, or one of `list_shipped_recipes`.

    Raises
    ------
    ValueError
        If it is none of these, or the file is no recipe.
    """
    if name in MODELS:
        if preset not in PRESETS:
            raise ValueError(f"no preset {preset}; there are {', '.join(PRESETS)}")
        path = FOLDER / f"{preset}.toml"
        return parse_recipe({"kind": "sub-tiles", "model": name, **_toml(path)[name]}, str(path))
    if name in list_shipped_recipes():
        path = FOLDER / f"{name}.toml"
    elif not (path := Path(name)).is_file():
        raise ValueError(
            f"no model class or recipe {name}; give {', '.join([*MODELS, *list_shipped_recipes()])}, or a TOML file"
        )
    return parse_recipe(_toml(path), str(path))


def parse_recipe(values: dict[str, Any], where: str) -> RecipeKind:
    """The recipe that values state.

    Raises
    ------
    ValueError
        If a value is unknown, missing or wrong; the message names `where` and it.
    """
    kind = KINDS[str(values.get("kind", "sub-tiles"))]
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            said = f"unknown; {kind.model_fields['kind'].default} recipes have {', '.join(kind.model_fields)}"
        else:
            said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {place + ': ' if place else ''}{said}") from None


def read_changes(path: Path) -> dict[str, Any]:
    """Changes to a recipe, from a TOML file; raises `ValueError` if it is none."""
    return _toml(path)


def change_recipe(recipe: RecipeKind, values: dict[str, Any], where: str = "changes") -> RecipeKind:
    """A recipe with some values changed; a count of negatives replaces the ratio and the other way round."""
    if "negatives_count" in values:
        values = {"negatives_ratio": None, **values}
    elif "negatives_ratio" in values:
        values = {"negatives_count": None, **values}
    return parse_recipe({**recipe.model_dump(mode="json"), **values}, where)


def read_recipe(run: Path) -> RecipeKind:
    """The recipe that a run's folder states.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    ValueError
        If its recipe is not one that this version knows.
    """
    path = run / RECIPE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no run in {run}: {path.name} is missing; `training train` makes one")
    return parse_recipe(json.loads(path.read_text()), str(path))


def claim_folder(run: Path, recipe: RecipeKind) -> None:
    """Write the recipe to a run's folder, or check that the folder's is the same; raises `ValueError` otherwise."""
    run.mkdir(parents=True, exist_ok=True)
    path, stated = run / RECIPE_FILE, recipe.model_dump_json(indent=1)
    if path.is_file() and path.read_text() != stated:
        raise ValueError(f"{run} holds a run of another recipe; choose another folder")
    path.write_text(stated)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
