"""What a run may go on from."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from training.models.sub_tile_net import ModelName
from training.recipes.recipe import paper, with_overrides
from training.recipes.runs import RunRequest, recipe_of


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """The weights' path of a run of Reg-NS whose net is small."""
    recipe = with_overrides(paper("Reg-NS", "none"), {"backbone": "micro", "side": 125})
    (tmp_path / "recipe.json").write_text(json.dumps(asdict(recipe)))
    return tmp_path / "model.pt"


def test_what_fixes_the_shape_of_the_weights_comes_from_the_run_before(start: Path) -> None:
    recipe = recipe_of(RunRequest("Reg", start, "paper", start=start))
    assert (recipe.model, recipe.backbone, recipe.side, recipe.initialisation) == ("Reg", "micro", 125, "none")


@pytest.mark.parametrize("model", ["Det", "Det-NS-WL", "BC"])
def test_a_start_of_another_kind_is_refused(start: Path, model: ModelName) -> None:
    with pytest.raises(ValueError, match=f"{model} cannot start from a run of Reg-NS"):
        recipe_of(RunRequest(model, start, "paper", start=start))
