"""Puts one release of the models into the wheel: the newest version of each."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED = "serving/_models"
"""Where `serving.settings.default_models` looks first."""


class NewestModels(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the models to a wheel. An editable install gets none: it reads those of the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to add; `version` is the kind of build, `standard` or `editable`."""
        if version == "editable":
            return
        models = Path(self.root) / "models"
        chosen = [models / "card.schema.json", *newest(models)]
        build_data["force_include"] |= {str(path): f"{PACKAGED}/{path.relative_to(models)}" for path in chosen}


def newest(models: Path) -> list[Path]:
    """The folder of the newest version of each model below `models`, by the numbers of the version."""
    found: dict[str, Path] = {}
    for card in models.glob("*/*/card.json"):
        name, folder = card.parts[-3], card.parent
        if name not in found or _order(folder) > _order(found[name]):
            found[name] = folder
    return [found[name] for name in sorted(found)]


def _order(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split("."))
