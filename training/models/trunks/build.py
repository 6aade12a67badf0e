"""A trunk by its name."""

from training.models.trunks.registry import TRUNKS, Norm, Trunk
from training.models.trunks.timm_nets import TimmTrunk

TIMM = "timm/"


def build_trunk(name: str, norm: Norm = "learnt", depth: int = 4) -> Trunk:
    """A trunk with random weights: a registered one, e.g. `resnet50`, or any of timm's nets, e.g. `timm/efficientnet_lite0`.

    depth : number of maps

    Raises
    ------
    ValueError
        If there is no such trunk, or it does not do what is asked.
    """
    if name.startswith(TIMM):
        return TimmTrunk.create(name.removeprefix(TIMM), norm, depth)
    return TRUNKS[name](norm, depth)


def make_frozen_norm(name: str) -> Norm:
    """Batch norm that keeps the initial weights' statistics: folded into the convolutions where the trunk can."""
    return "frozen" if name.startswith(TIMM) else "folded"


def check_trunk(name: str) -> str:
    """The name, if there may be such a trunk; raises `ValueError` otherwise."""
    if not name.startswith(TIMM):
        _ = TRUNKS[name]
    return name
