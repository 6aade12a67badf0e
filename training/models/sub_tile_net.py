"""The seven model classes of the paper (Table 1) as modules whose forward in training gives named losses."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.backbones import Backbone, resnet
from training.models.sub_tile_detector import SubTileDetector

ModelName = Literal["BC", "Reg", "Reg-NS", "Det", "Det-NS", "Det-WL", "Det-NS-WL"]


@dataclass(frozen=True, slots=True)
class ModelClass:
    """One row of Table 1."""

    target: Literal["class", "score", "boxes"]
    negatives: bool
    weighted: bool = False
    """Whether the box head's cross-entropy weighs each figure by its agreement."""


MODELS: dict[ModelName, ModelClass] = {
    "BC": ModelClass("class", negatives=True),
    "Reg": ModelClass("score", negatives=False),
    "Reg-NS": ModelClass("score", negatives=True),
    "Det": ModelClass("boxes", negatives=False),
    "Det-NS": ModelClass("boxes", negatives=True),
    "Det-WL": ModelClass("boxes", negatives=False, weighted=True),
    "Det-NS-WL": ModelClass("boxes", negatives=True, weighted=True),
}

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SubTileNet(nn.Module):
    """BC, Reg and Reg-NS: a ResNet whose last layer gives one number a sub-tile.

    In training `forward(images, scores)` gives the loss: cross-entropy of s_t > 0 for BC, else mean squared error against
    s_t (paper, Appendix A). In evaluation `forward(images)` gives the score: a probability for BC, else unbounded.

    images : float32, (N, 3, S, S), RGB 0..255, resized to `side` px inside. scores : float32, (N,)
    """

    mean: Tensor
    std: Tensor
    v1_strides: Tensor

    def __init__(self, target: Literal["class", "score"], backbone: Backbone, side: int) -> None:
        super().__init__()
        self.target, self.side = target, side
        self.net = resnet(backbone)
        self.net.fc = nn.Linear(self.net.fc.in_features, 2 if target == "class" else 1)
        self.register_buffer("v1_strides", torch.tensor(data=False))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor, scores: Tensor | None = None) -> Any:
        """See the class."""
        output = self.net(self.prepared(images)).float()
        if self.training:
            if scores is None:
                raise ValueError("training needs the scores s_t")
            if self.target == "class":
                return {"cross_entropy": F.cross_entropy(output, (scores > 0).long())}
            return {"squared_error": F.mse_loss(output.squeeze(1), scores)}
        return output.softmax(1)[:, 1] if self.target == "class" else output.reshape(-1)

    def prepared(self, images: Tensor) -> Tensor:
        """Normalised and resized to `side` px, where they are not of that size already."""
        x: Tensor = (images - self.mean) / self.std
        if x.shape[-1] == self.side:
            return x
        return F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False)


def build(name: ModelName, *, backbone: Backbone, side: int, pretrained: bool = False) -> SubTileNet | SubTileDetector:
    """A model of a class, its weights random.

    side : px that the 250 px sub-tile is resized to inside. Torchvision's detector resizes to 800 by default, and so
        does the paper's
    pretrained : whether other weights will fill the backbone, see `backbones.pyramid`
    """
    row = MODELS[name]
    if row.target == "boxes":
        return SubTileDetector(backbone, side, weighted=row.weighted, pretrained=pretrained)
    return SubTileNet(row.target, backbone, side)
