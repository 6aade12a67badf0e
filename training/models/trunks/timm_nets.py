"""Trunks by name: registered ones, and timm's nets such as `timm/efficientnet_lite0`."""

from typing import Any

from torch import Tensor, nn

from training.models.trunks.registry import STRIDES, TRUNKS, Norm, Trunk, missing_names
from training.models.weights import Weights


class TimmTrunk(Trunk):
    """The feature maps of one of timm's nets that have strides 4 to 32."""

    def __init__(self, net: Any, channels: tuple[int, ...]) -> None:
        super().__init__(channels)
        self.net = net

    @classmethod
    def create(cls, name: str, norm: Norm, depth: int) -> "TimmTrunk":
        """By timm's name of the net.

        Raises
        ------
        ValueError
            If timm has no such net, it gives no maps of these strides, or its batch norm is asked to be folded.
        """
        import timm  # noqa: PLC0415 - takes two seconds, and most trunks are no timm's
        from timm.layers import freeze_batch_norm_2d  # noqa: PLC0415

        if norm == "folded":
            raise ValueError(f"timm/{name}: batch norm is folded in ResNets alone; take frozen")
        if name not in timm.list_models():
            raise ValueError(f"timm has no {name}; `timm.list_models()` lists what there is")
        net = timm.create_model(name, pretrained=False, features_only=True)
        found = {stride: i for i, stride in enumerate(net.feature_info.reduction())}
        if not set(STRIDES[:depth]) <= set(found):
            raise ValueError(f"timm/{name} gives maps of strides {sorted(found)}, not {STRIDES[:depth]}")
        wanted = tuple(found[stride] for stride in STRIDES[:depth])
        net = timm.create_model(name, pretrained=False, features_only=True, out_indices=wanted)
        if stages := [feature["stage"] for feature in net.feature_info.get_dicts() if "stage" in feature]:
            # timm keeps, and computes, the blocks behind the last map too.
            net.blocks = net.blocks[: max(stages)]
        channels = tuple(net.feature_info.channels())
        return cls(freeze_batch_norm_2d(net) if norm == "frozen" else net, channels)

    def maps(self, images: Tensor) -> list[Tensor]:
        """See `Trunk`."""
        return list(self.net(images))[: len(self.channels)]

    def stages(self) -> list[list[nn.Module]]:
        """See `Trunk`: every top-level module is a stage, the blocks of a sequence one each."""
        parts: list[nn.Module] = []
        for module in self.net.children():
            parts += list(module) if isinstance(module, nn.Sequential) else [module]
        return [[part] for part in parts if next(part.parameters(), None) is not None]

    def shorten(self, depth: int) -> None:
        """See `Trunk`."""
        self.channels = self.channels[:depth]

    def fill(self, weights: Weights) -> None:
        """See `Trunk`. Weights under other names are taken in their order, if all shapes agree."""
        wanted = self.net.state_dict()
        given = {name: value for name, value in weights.tensors.items() if name in wanted}
        if missing_names(wanted, given):
            given = _in_order(wanted, weights)
        self.net.load_state_dict(given, strict=False)


def _in_order(wanted: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """Weights by position: other ports of a net keep its order and change its names."""
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    given = [value for name, value in weights.tensors.items() if not name.endswith("num_batches_tracked")]
    if len(given) < len(names) or any(wanted[n].shape != v.shape for n, v in zip(names, given, strict=False)):
        raise ValueError(f"{weights.source}: neither names nor shapes are those of the trunk")
    return dict(zip(names, given, strict=False))


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
