"""The seven model classes of the paper (Table 1)."""

from dataclasses import dataclass

from torch import nn

from training.models.heads.registry import HEADS
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet
from training.models.trunks.timm_nets import build_trunk


@dataclass(frozen=True, slots=True)
class ModelClass:
    """One row of Table 1.

    head : name of a registered head; negatives : whether training shows sub-tiles without figures
    told_apart_at : threshold at which slides are told apart, the paper's best in Table 4
    """

    head: str
    negatives: bool
    told_apart_at: float


MODELS: dict[str, ModelClass] = {
    "BC": ModelClass("class", negatives=True, told_apart_at=0.5),
    "Reg": ModelClass("score", negatives=False, told_apart_at=0.6),
    "Reg-NS": ModelClass("score", negatives=True, told_apart_at=0.2),
    "Det": ModelClass("boxes", negatives=False, told_apart_at=0.95),
    "Det-NS": ModelClass("boxes", negatives=True, told_apart_at=0.95),
    "Det-WL": ModelClass("weighted boxes", negatives=False, told_apart_at=0.95),
    "Det-NS-WL": ModelClass("weighted boxes", negatives=True, told_apart_at=0.95),
}


def build(head: str, *, backbone: str, side: int, pretrained: bool = False) -> SubTileNet | SubTileDetector:
    """A model of a head on a trunk, its weights random.

    side : px that the 250 px sub-tile is resized to inside. Torchvision's detector resizes to 800 by default, and so
        does the paper's
    pretrained : whether other weights will fill the trunk: a detector's stem and first stage then stay as they are

    Raises
    ------
    ValueError
        If there is no such head or trunk.
    """
    made = HEADS[head]
    trunk = build_trunk(backbone, made.norm(pretrained=pretrained))
    if made.learns == "boxes" and pretrained:
        trunk.freeze(1)
    model: nn.Module = made.model(trunk, side)
    if not isinstance(model, SubTileNet | SubTileDetector):
        raise TypeError(f"the head {head} makes a {type(model).__name__}, neither a net nor a detector of sub-tiles")
    return model
