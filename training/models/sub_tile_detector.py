"""The four Det classes: torchvision's Faster R-CNN on a feature pyramid over a trunk, plain or weighted by agreement."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from training.models.trunks.registry import Trunk

SCORE_FLOOR = 0.01
"""Boxes of lower probability are not given."""


@dataclass(frozen=True, slots=True)
class DetectorSizes:
    """Torchvision's defaults. anchors : px of the resized sub-tile, one a level of the pyramid."""

    anchors: tuple[int, ...] = (32, 64, 128, 256, 512)
    channels: int = 256
    hidden: int = 1024
    proposals: int = 1000
    rpn_samples: int = 256
    box_samples: int = 512


SMALL = DetectorSizes((8, 16, 32, 64, 128), channels=32, hidden=64, proposals=40, rpn_samples=64, box_samples=32)
"""For trunks of few channels and sub-tiles of about 125 px, which show figures of 15 to 30 px."""
SMALL_CHANNELS = 128
"""A trunk whose last map has no more than these is small."""


class Pyramid(nn.Module):
    """A feature pyramid over a trunk's maps, under the names that torchvision's detectors give its parts."""

    def __init__(self, trunk: Trunk, channels: int) -> None:
        super().__init__()
        self.body = trunk
        self.fpn = FeaturePyramidNetwork(list(trunk.channels), channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Levels of the pyramid, from fine to coarse, of normalised pictures."""
        levels: dict[str, Tensor] = self.fpn(OrderedDict((str(i), m) for i, m in enumerate(self.body.maps(images))))
        return levels


class SubTileDetector(nn.Module):
    """A detector of a sub-tile's figures.

    In training `forward(images, targets)` gives torchvision's four losses; in evaluation `forward(images)` gives its
    detections, a dict a window, boxes in window px.

    images : float32, (N, 3, S, S), RGB 0..255, resized to `side` px inside
    targets : a dict a window: `boxes` xyxy window px, `labels` 1, `agreement` float32 for the weighted loss
    """

    def __init__(self, trunk: Trunk, side: int, *, weighted: bool) -> None:
        super().__init__()
        self.side = side
        sizes = SMALL if trunk.channels[-1] <= SMALL_CHANNELS else DetectorSizes()
        self.model = FasterRCNN(
            Pyramid(trunk, sizes.channels),
            min_size=side,
            max_size=max(side, 1333),
            rpn_anchor_generator=AnchorGenerator(
                tuple((a,) for a in sizes.anchors), ((0.5, 1.0, 2.0),) * len(sizes.anchors)
            ),
            box_score_thresh=SCORE_FLOOR,
            rpn_pre_nms_top_n_train=2 * sizes.proposals,
            rpn_post_nms_top_n_train=2 * sizes.proposals,
            rpn_pre_nms_top_n_test=sizes.proposals,
            rpn_post_nms_top_n_test=sizes.proposals,
            rpn_batch_size_per_image=sizes.rpn_samples,
            box_batch_size_per_image=sizes.box_samples,
            box_head=TwoMLPHead(sizes.channels * 7 * 7, sizes.hidden),
            box_predictor=FastRCNNPredictor(sizes.hidden, 2),
        )
        if weighted:
            # Same parts, same weights: only the loss differs.
            self.model.roi_heads.__class__ = WeightedRoIHeads

    @property
    def trunk(self) -> Trunk:
        """The trunk below the pyramid."""
        trunk: Trunk = self.model.backbone.body
        return trunk

    def forward(self, images: Tensor, targets: Sequence[dict[str, Tensor]] | None = None) -> Any:
        """See the class."""
        # Boxes are arithmetic on pixels, which bfloat16 cannot hold; torchvision's heads expect float32 throughout.
        with torch.autocast(images.device.type, enabled=False):
            return self.model([image / 255 for image in images.float()], list(targets) if targets is not None else None)


class WeightedRoIHeads(RoIHeads):  # type: ignore[misc]  # torchvision has no types
    """Torchvision's heads whose class loss weighs each sampled figure by its agreement.

    The cross-entropy of a proposal matched to a box counts a_i times, that of background once; the mean over sampled
    proposals stays (paper, Section 3.2; weights of background and normalisation are not stated there).
    """

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> Any:
        """See torchvision."""
        if not self.training or targets is None:
            return super().forward(features, proposals, image_shapes, targets)
        proposals, matched, labels, regression = self.select_training_samples(proposals, targets)
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        logits, deltas = self.box_predictor(pooled)
        _, box_loss = fastrcnn_loss(logits, deltas, labels, regression)
        weights = torch.cat([_weights(t["agreement"], m, y) for t, m, y in zip(targets, matched, labels, strict=True)])
        classification = F.cross_entropy(logits, torch.cat(labels), reduction="none")
        return [], {"loss_classifier": (weights * classification).mean(), "loss_box_reg": box_loss}


def _weights(agreement: Tensor, matched: Tensor, labels: Tensor) -> Tensor:
    """Agreement of the box that each proposal matches, 1 for background. (B,), (P,), (P,) -> (P,)."""
    if not len(agreement):
        return torch.ones_like(labels, dtype=torch.float32)
    return torch.where(labels > 0, agreement[matched], torch.ones_like(labels, dtype=torch.float32))
