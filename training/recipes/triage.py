"""The recipe of the triage net."""

from typing import Literal

from training.engine.recipe import TrunkName
from training.models.triage import TRIAGE_TRUNK, TriageNet
from training.recipes.registry import KINDS
from training.recipes.screening import TileRecipe


@KINDS.register("triage")
class TriageRecipe(TileRecipe):
    """The triage net, trained through on parts of tiles."""

    kind: Literal["triage"] = "triage"
    backbone: TrunkName = TRIAGE_TRUNK

    def build(self) -> TriageNet:
        """See `RecipeKind`."""
        model = TriageNet(self.backbone)
        model.trunk.freeze(self.frozen_stages)
        return model
