"""Det: Faster R-CNN on three stages of the trunk, sized for figures of 15 to 60 px in 250 px windows."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

WINDOW_PX = 250
PADDED_PX = 256
CHANNELS = 128
STRIDES = (4, 8, 16)
ANCHOR_PX = ((16.0, 24.0), (32.0, 40.0), (56.0, 72.0))
NMS_IOU = 0.3
PROPOSALS = 60
MAX_DETECTIONS = 20
SCORE_FLOOR = 0.02


class _RPNHead(RPNHead):  # type: ignore[misc]  # torchvision has no types
    """Torchvision's, whose output is float32 whatever it computes in."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        objectness, deltas = super().forward(x)
        return [o.float() for o in objectness], [d.float() for d in deltas]


class _Predictor(FastRCNNPredictor):  # type: ignore[misc]
    """Torchvision's, whose output is float32 whatever it computes in."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, deltas = super().forward(x)
        return scores.float(), deltas.float()


class Det(nn.Module):
    """Faster R-CNN heads over the trunk's stages 1 to 3 (strides 4, 8, 16).

    Figures are small: stage 4 (stride 32) and pyramid levels above it would see none, and boxes below 112 px all pool
    from the finest level in torchvision's rule, so pooling reads that level alone. Windows keep their 250 px: the
    detector is trained and served at one size, without a resize in the graph.
    """

    def __init__(self, channels: Sequence[int] = (256, 512, 1024)) -> None:
        super().__init__()
        self.pyramid = FeaturePyramidNetwork(list(channels), CHANNELS)
        anchors = AnchorGenerator(ANCHOR_PX, ((0.7, 1.0, 1.4),) * len(ANCHOR_PX))
        self.rpn = RegionProposalNetwork(
            anchors,
            _RPNHead(CHANNELS, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.6,
            bg_iou_thresh=0.3,
            batch_size_per_image=64,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 150, "testing": 100},
            post_nms_top_n={"training": 100, "testing": PROPOSALS},
            nms_thresh=0.6,
        )
        self.roi = RoIHeads(
            MultiScaleRoIAlign(["0"], 7, 2),
            TwoMLPHead(CHANNELS * 7 * 7, 1024),
            _Predictor(1024, 2),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=64,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=SCORE_FLOOR,
            nms_thresh=NMS_IOU,
            detections_per_img=MAX_DETECTIONS,
        )

    def forward(
        self, maps: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Detections (eval) and losses (train), as torchvision gives them.

        maps : the trunk's first three stages. targets : `boxes` xyxy window px and `labels` 1, a dict a window.
        """
        levels = self.pyramid(OrderedDict((str(i), m) for i, m in enumerate(maps[:3])))
        # Under autocast convolutions and products run in bfloat16; boxes are arithmetic on pixels, which it cannot hold.
        features = OrderedDict((k, v.float()) for k, v in levels.items())
        sizes = [(WINDOW_PX, WINDOW_PX)] * len(maps[0])
        # Torchvision spaces anchors by image side // map side: 256 gives the true strides where 250 would not.
        images = ImageList(features["0"].new_zeros((len(maps[0]), 1, PADDED_PX, PADDED_PX)), sizes)
        proposals, rpn_losses = self.rpn(images, features, targets)
        detections, roi_losses = self.roi(features, proposals, sizes, targets)
        return detections, {**rpn_losses, **roi_losses}
