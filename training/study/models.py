"""The seven model classes of the paper (Table 1) as modules whose forward in training gives named losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet, resnet18, resnet50
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops.misc import FrozenBatchNorm2d

ModelName = Literal["BC", "Reg", "Reg-NS", "Det", "Det-NS", "Det-WL", "Det-NS-WL"]
Backbone = Literal["resnet50", "resnet18", "micro"]
"""micro: a ResNet of four blocks, 16 to 128 channels, for tests and the tiny scale."""


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

    images : float32, (N, 3, 250, 250), RGB 0..255. scores : float32, (N,)
    """

    mean: Tensor
    std: Tensor
    v1_strides: Tensor

    def __init__(self, target: Literal["class", "score"], backbone: Backbone, side: int | None) -> None:
        super().__init__()
        self.target, self.side = target, side
        self.net = _resnet(backbone, nn.BatchNorm2d)
        self.net.fc = nn.Linear(self.net.fc.in_features, 2 if target == "class" else 1)
        self.register_buffer("v1_strides", torch.tensor(data=False))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor, scores: Tensor | None = None) -> Any:
        """See the class."""
        x = (images - self.mean) / self.std
        if self.side is not None:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        output = self.net(x).float()
        if self.training:
            if scores is None:
                raise ValueError("training needs the scores s_t")
            if self.target == "class":
                return {"cross_entropy": F.cross_entropy(output, (scores > 0).long())}
            return {"squared_error": F.mse_loss(output.squeeze(1), scores)}
        return output.softmax(1)[:, 1] if self.target == "class" else output.squeeze(1)


class SubTileDetector(nn.Module):
    """The four Det classes: Faster R-CNN on a ResNet feature pyramid, torchvision's own.

    In training `forward(images, targets)` gives torchvision's four losses; in evaluation `forward(images)` gives its
    detections, a dict a window, boxes in window px.

    targets : a dict a window: `boxes` xyxy window px, `labels` 1, `agreement` float32 for the weighted loss
    """

    v1_strides: Tensor

    def __init__(self, backbone: Backbone, side: int, *, weighted: bool) -> None:
        super().__init__()
        self.register_buffer("v1_strides", torch.tensor(data=False))
        sizes = _DETECTOR_SIZES.get(backbone, _DetectorSizes())
        self.model = FasterRCNN(
            _pyramid(backbone, sizes.channels),
            min_size=side,
            max_size=max(side, 1333),
            box_score_thresh=0.01,
            rpn_pre_nms_top_n_train=2 * sizes.proposals,
            rpn_post_nms_top_n_train=2 * sizes.proposals,
            rpn_pre_nms_top_n_test=sizes.proposals,
            rpn_post_nms_top_n_test=sizes.proposals,
            box_head=TwoMLPHead(sizes.channels * 7 * 7, sizes.hidden),
            box_predictor=FastRCNNPredictor(sizes.hidden, 2),
        )
        if weighted:
            # Same parts, same weights: only the loss differs.
            self.model.roi_heads.__class__ = WeightedRoIHeads

    def forward(self, images: Tensor, targets: Sequence[dict[str, Tensor]] | None = None) -> Any:
        """See the class."""
        # Boxes are arithmetic on pixels, which bfloat16 cannot hold; torchvision's heads expect float32 throughout.
        with torch.autocast(images.device.type, enabled=False):
            return self.model([image / 255 for image in images.float()], list(targets) if targets is not None else None)


@dataclass(frozen=True, slots=True)
class _DetectorSizes:
    """Torchvision's defaults."""

    channels: int = 256
    hidden: int = 1024
    proposals: int = 1000


_DETECTOR_SIZES = {"micro": _DetectorSizes(channels=32, hidden=64, proposals=40)}


def _resnet(backbone: Backbone, norm: Callable[..., nn.Module]) -> ResNet:
    if backbone == "resnet50":
        return resnet50(weights=None, norm_layer=norm)
    if backbone == "resnet18":
        return resnet18(weights=None, norm_layer=norm)
    net = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=norm)
    net.inplanes = 16
    net.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
    net.bn1 = norm(16)
    for number, channels in enumerate((16, 32, 64, 128), 1):
        setattr(net, f"layer{number}", net._make_layer(BasicBlock, channels, 1, stride=1 if number == 1 else 2))
    net.fc = nn.Linear(128, 1)
    return net


def _pyramid(backbone: Backbone, channels: int) -> BackboneWithFPN:
    """A feature pyramid over a ResNet whose first stage and stem stay as they are, as in torchvision's detectors."""
    net = _resnet(backbone, FrozenBatchNorm2d)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(("layer2", "layer3", "layer4")))
    stages = [net.inplanes // 8 * 2**i for i in range(4)]
    return BackboneWithFPN(net, {f"layer{i + 1}": str(i) for i in range(4)}, stages, channels)


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


def build(name: ModelName, *, backbone: Backbone, side: int | None) -> SubTileNet | SubTileDetector:
    """A model of a class, its weights random.

    side : px that the 250 px sub-tile is resized to inside; None keeps 250. Torchvision's detector resizes to 800 by
        default, and so does the paper's.
    """
    row = MODELS[name]
    if row.target == "boxes":
        return SubTileDetector(backbone, side or 250, weighted=row.weighted)
    return SubTileNet(row.target, backbone, side)


def initialise(model: SubTileNet | SubTileDetector, source: str, *, reg_run: Path | None = None) -> str:
    """Fill the backbone; what was done, in words.

    source : "none"; "torchvision" (downloads: ImageNet for a net, COCO's detector for a detector); "reg" (the backbone
        of a Reg run, Table 8); else a safetensors file of ResNet weights under torchvision's names

    Raises
    ------
    FileNotFoundError
        If the file is not there, or the download cannot be reached; the message says what to give instead.
    """
    if source == "none":
        return "random"
    if source == "torchvision":
        return _download(model)
    if source == "reg":
        if reg_run is None:
            raise ValueError('initialisation "reg" needs the run whose backbone to take')
        state = torch.load(reg_run, weights_only=True, map_location="cpu")
        _load_backbone(model, {k.removeprefix("net."): v for k, v in state.items()})
        _set_strides(model, v1=bool(state["v1_strides"]))
        return f"backbone of {reg_run.parent.name}"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give a safetensors file, or torchvision, or none")
    state = load_file(path)
    _load_backbone(model, state)
    _set_strides(model, v1=True)
    return path.name


def load_trained(model: SubTileNet | SubTileDetector, path: Path) -> None:
    """Fill a model with a run's `model.pt`."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state)
    _set_strides(model, v1=bool(state["v1_strides"]))


def _load_backbone(model: SubTileNet | SubTileDetector, state: dict[str, Tensor]) -> None:
    target = model.net if isinstance(model, SubTileNet) else model.model.backbone.body
    wanted = target.state_dict()
    backbone = {k: v.float() for k, v in state.items() if k in wanted and not k.startswith("fc.")}
    missing = [
        k for k in wanted if k not in backbone and not k.startswith("fc.") and not k.endswith("num_batches_tracked")
    ]
    if missing:
        raise ValueError(f"the weights lack {len(missing)} of the backbone's tensors, e.g. {missing[0]}")
    target.load_state_dict(backbone, strict=False)


def _set_strides(model: SubTileNet | SubTileDetector, *, v1: bool) -> None:
    """ResNet v1, whose weights the ImageNet file holds, strides a block's first convolution; torchvision's the second."""
    model.v1_strides.fill_(v1)
    for block in model.modules():
        if isinstance(block, Bottleneck) and (2, 2) in (block.conv1.stride, block.conv2.stride):
            block.conv1.stride, block.conv2.stride = ((2, 2), (1, 1)) if v1 else ((1, 1), (2, 2))


def _download(model: SubTileNet | SubTileDetector) -> str:
    from torchvision.models import ResNet50_Weights  # noqa: PLC0415
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights  # noqa: PLC0415

    weights: Any = ResNet50_Weights.IMAGENET1K_V1
    if isinstance(model, SubTileDetector):
        weights = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    try:
        state = weights.get_state_dict(progress=True)
    except OSError as error:
        raise FileNotFoundError(
            f"cannot download {weights}: {error}; give a safetensors file of ImageNet weights"
        ) from None
    if isinstance(model, SubTileNet):
        _load_backbone(model, state)
    else:
        model.model.load_state_dict({k: v for k, v in state.items() if "box_predictor" not in k}, strict=False)
        model.model.roi_heads.box_predictor = FastRCNNPredictor(1024, 2)
    return str(weights)
