"""The study's models as graphs of the serving contract: uint8 in, cutting, normalising and resizing inside, batched."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from training.data.sub_tiles import WINDOW_PX
from training.export.boxes import decode, suppress
from training.export.graphs import cut, find_lattice_shape
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet

_ABSENT = -1e4
_MIN_PROPOSAL_PX, _MIN_BOX_PX = 1e-3, 1e-2
"""Torchvision drops smaller proposals (rpn.min_size) and boxes (roi_heads)."""


class Resize(nn.Module):
    """Bilinear resizing of square pictures as two matrix products, whose weights are torch's own.

    The graph then needs no resizing operator, of which every runtime has its own idea.
    """

    rows: Tensor

    def __init__(self, side: int, target: int, *, antialias: bool) -> None:
        super().__init__()
        # What resizing does to a picture with one bright row, for each row.
        unit = torch.eye(side).reshape(1, 1, side, side)
        weights = F.interpolate(unit, size=(target, side), mode="bilinear", align_corners=False, antialias=antialias)
        self.register_buffer("rows", weights.reshape(target, side), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, side, side) -> (N, C, target, target)."""
        return self.rows @ images @ self.rows.T


class NetGraph(nn.Module):
    """BC, Reg and Reg-NS: tiles uint8 (N, H, W, 3), H and W multiples of 125 -> scores (N, H / 125 - 1, W / 125 - 1)."""

    def __init__(self, model: SubTileNet) -> None:
        super().__init__()
        self.model = model
        self.resize = nn.Identity() if model.side == WINDOW_PX else Resize(WINDOW_PX, model.side, antialias=True)
        self.eval()

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        sub_tiles = self.model.trunk.normalise(cut(tiles).float())
        output = self.model.head(self.model.trunk.maps(self.resize(sub_tiles)))
        return self.model.head.score(output).reshape(find_lattice_shape(tiles))


class DetectorGraph(nn.Module):
    """The Det classes: windows uint8 (N, 250, 250, 3) -> boxes (N, K, 4), probabilities (N, K), counts (N,) int64.

    Torchvision's inference over its own weights and by its own settings, written for a batch: constant anchors, fixed
    top-k, one suppression for all windows, each box pooled from its level of the pyramid, outputs padded to K with a
    count. Boxes are xyxy, window px; rows behind the count are zero. torchvision's own export unrolls the trace over the
    example's windows and is silently wrong for others.
    """

    def __init__(self, detector: SubTileDetector) -> None:
        super().__init__()
        self.detector = detector
        model, self.side = detector.model, detector.side
        self.eval()
        with torch.inference_mode():
            # One blank window tells padding, anchors and the pyramid's scales.
            images, _ = model.transform([torch.zeros(3, WINDOW_PX, WINDOW_PX)])
            levels = list(model.backbone(images.tensors).values())
            anchors = model.rpn.anchor_generator(images, levels)[0]
            detector(torch.zeros(1, 3, WINDOW_PX, WINDOW_PX))
        if images.image_sizes[0] != (self.side, self.side):
            raise ValueError(f"torchvision resizes windows to {images.image_sizes[0]}, not to {self.side} px")
        self.padding = images.tensors.shape[-1] - self.side
        self.resize = nn.Identity() if self.side == WINDOW_PX else Resize(WINDOW_PX, self.side, antialias=False)
        cells = [level.shape[-1] * level.shape[-2] for level in levels]
        per_cell = model.rpn.anchor_generator.num_anchors_per_location()
        counts = [n * k for n, k in zip(cells, per_cell, strict=True)]
        for level, part in enumerate(anchors.clone().split(counts)):
            self.register_buffer(f"anchors{level}", part, persistent=False)
        self.register_buffer("mean", torch.tensor(model.transform.image_mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(model.transform.image_std).reshape(1, 3, 1, 1), persistent=False)
        pool = model.roi_heads.box_roi_pool
        self.scales, self.pooled_px, self.samples = pool.scales, pool.output_size[0], pool.sampling_ratio
        self.mapper = pool.map_levels

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        model = self.detector.model
        pixels = (windows.permute(0, 3, 1, 2).float() / 255 - self.get_buffer("mean")) / self.get_buffer("std")
        images = F.pad(self.resize(pixels), (0, self.padding, 0, self.padding))
        levels = list(model.backbone(images).values())
        proposals, proposed = self._proposals(levels)
        return self._detections(levels, proposals, proposed)

    def _proposals(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (N, P, 4) and whether each is a proposal or padding (N, P)."""
        rpn = self.detector.model.rpn
        objectness, deltas = rpn.head(levels)
        boxes, scores, of = [], [], []
        for level, (logit, delta) in enumerate(zip(objectness, deltas, strict=True)):
            n, anchors = logit.shape[0], self.get_buffer(f"anchors{level}")
            flat = logit.permute(0, 2, 3, 1).reshape(n, -1)
            # (N, A * 4, H, W) -> (N, H * W * A, 4), the order of the anchors
            moves = delta.permute(0, 2, 3, 1).reshape(n, -1, 4)
            top, index = flat.topk(min(rpn.pre_nms_top_n(), len(anchors)), dim=1)
            moves = moves.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
            boxes.append(decode(anchors[index], moves, rpn.box_coder.weights, self.side))
            scores.append(top)
            of.append(torch.full_like(top, float(level)))
        box, score, level_of = torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(of, 1)
        keep = suppress(box, score, len(levels), level_of, iou=rpn.nms_thresh, side=self.side)
        big = ((box[..., 2:] - box[..., :2]) >= _MIN_PROPOSAL_PX).all(-1)
        count = min(rpn.post_nms_top_n(), box.shape[1])
        ranked, index = torch.where(keep & big, score, torch.full_like(score, _ABSENT)).topk(count, dim=1)
        return box.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), ranked > _ABSENT / 2

    def _detections(self, levels: list[Tensor], proposals: Tensor, proposed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.detector.model.roi_heads
        n, count = proposals.shape[0], proposals.shape[1]
        logits, deltas = heads.box_predictor(heads.box_head(self._pool(levels, proposals)))
        probability = logits.softmax(-1)[:, 1].reshape(n, count)
        boxes = decode(proposals, deltas[:, 4:8].reshape(n, count, 4), heads.box_coder.weights, self.side)
        big = ((boxes[..., 2:] - boxes[..., :2]) >= _MIN_BOX_PX).all(-1)
        valid = proposed & big & (probability > heads.score_thresh)
        masked = torch.where(valid, probability, torch.full_like(probability, _ABSENT))
        keep = suppress(boxes, masked, 1, torch.zeros_like(masked), iou=heads.nms_thresh, side=self.side) & valid
        ranked, index = torch.where(keep, probability, torch.zeros_like(probability)).topk(
            min(heads.detections_per_img, count), dim=1
        )
        present = ranked > 0
        chosen = boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)) * present.unsqueeze(-1)
        return chosen * (WINDOW_PX / self.side), ranked, present.sum(1)

    def _pool(self, levels: list[Tensor], proposals: Tensor) -> Tensor:
        """Features of each proposal from the level that its size belongs to (Lin et al., 2017), (N * P, C, 7, 7)."""
        n, count = proposals.shape[0], proposals.shape[1]
        owner = torch.arange(n, device=proposals.device).reshape(n, 1, 1).expand(-1, count, 1).to(proposals.dtype)
        rois = torch.cat([owner, proposals], 2).reshape(-1, 5)
        size = (rois[:, 3:] - rois[:, 1:3]).prod(1).sqrt()
        # A box without size has no logarithm; it is padding, and any level will do.
        level = torch.floor(self.mapper.lvl0 + torch.log2(size.clamp(min=1e-6) / self.mapper.s0) + self.mapper.eps)
        level = level.clamp(self.mapper.k_min, self.mapper.k_max) - self.mapper.k_min
        side = self.pooled_px
        pooled = torch.zeros((rois.shape[0], levels[0].shape[1], side, side), device=rois.device)
        for number, scale in enumerate(self.scales):
            here = torch.where(level == number)[0]
            part = roi_align(levels[number], rois[here], side, scale, self.samples, aligned=False)
            pooled = pooled.index_put((here,), part)
        return pooled
