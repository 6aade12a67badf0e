"""The graphs of the serving contract, and those of runs: uint8 in, batched, everything but the cascade's choice inside."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from training.export.boxes import decode, suppress
from training.models.cascade import CascadeNet, RegNS
from training.models.det import MAX_DETECTIONS, NMS_IOU, PROPOSALS, SCORE_FLOOR, STRIDES, WINDOW_PX, Det
from training.models.triage import TriageNet
from training.models.trunks.registry import Trunk
from training.models.verifier import Verifier
from training.models.whole_tile import SCALE, WholeTileRegNS
from training.recipes.runs import load_run

STRIDE_PX = 125
BBOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Torchvision's scaling of the box head's regression targets."""
PER_LEVEL = 100


class RegNSGraph(nn.Module):
    """tiles uint8 (N, H, W, 3), H and W multiples of 125 -> scores float32 (N, H / 125 - 1, W / 125 - 1).

    Sub-tiles are pairs of neighbouring 125 px blocks, joined down and across, so a tile's pixels enter once.
    """

    def __init__(self, trunk: Trunk, head: RegNS) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.eval()

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        logits = self.head(self.trunk(cut(tiles).float())[-1])
        return RegNS.score(logits).reshape(find_lattice_shape(tiles))


def cut(tiles: Tensor) -> Tensor:
    """All sub-tiles of tiles, row by row: (N, H, W, 3) -> (N * rows * columns, 3, 250, 250)."""
    n, height, width = tiles.shape[0], tiles.shape[1], tiles.shape[2]
    blocks = tiles.permute(0, 3, 1, 2).reshape(n, 3, height // STRIDE_PX, STRIDE_PX, width // STRIDE_PX, STRIDE_PX)
    tall = torch.cat([blocks[:, :, :-1], blocks[:, :, 1:]], dim=3)
    square = torch.cat([tall[:, :, :, :, :-1], tall[:, :, :, :, 1:]], dim=5)
    return square.permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, WINDOW_PX, WINDOW_PX)


def find_lattice_shape(tiles: Tensor) -> tuple[int, int, int]:
    """Shape of the scores of tiles: N, rows and columns of sub-tiles."""
    return tiles.shape[0], tiles.shape[1] // STRIDE_PX - 1, tiles.shape[2] // STRIDE_PX - 1


class TriageGraph(nn.Module):
    """tiles uint8 (N, H, W, 3), H and W multiples of 32 -> probabilities float32 (N, H / 32, W / 32)."""

    def __init__(self, net: TriageNet) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.net(tiles.permute(0, 3, 1, 2))
        return logits.sigmoid()


class VerifierGraph(nn.Module):
    """windows uint8 (N, W, W, 3), W the widest of the nets' -> probabilities float32 (N,).

    The mean logit over views, and over several nets where there are some. A net with a narrower window sees the middle.

    Parameters
    ----------
    views
        8 for all symmetries of the square, 1 for the window as it is.
    """

    def __init__(self, nets: Sequence[Verifier], views: Literal[1, 8] = 8) -> None:
        super().__init__()
        self.nets, self.views, self.window_px = nn.ModuleList(nets), views, max(net.window_px for net in nets)
        self.edges = [(self.window_px - net.window_px) // 2 for net in nets]
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """See the class."""
        upright = windows.permute(0, 3, 1, 2).float()
        pair = [upright, upright.transpose(2, 3)]
        views = [view.flip(sides) if sides else view for view in pair for sides in ([], [2], [3], [2, 3])]
        side = self.window_px
        logits = torch.stack(
            [
                net(view[:, :, edge : side - edge, edge : side - edge])
                for net, edge in zip(self.nets, self.edges, strict=True)
                for view in views[: self.views]
            ]
        )
        return logits.mean(0).sigmoid()


class DetGraph(nn.Module):
    """windows uint8 (N, 250, 250, 3) -> boxes (N, K, 4) xyxy window px, probabilities (N, K), counts (N,) int64.

    Torchvision's inference over its own weights, written for a batch: constant anchors, fixed top-k, one suppression
    for the whole batch by shifting each window's boxes apart, outputs padded to K with a count. Rows behind the count
    are zero.
    """

    def __init__(self, trunk: Trunk, det: Det) -> None:
        super().__init__()
        self.trunk, self.pyramid = copy.deepcopy(trunk), det.pyramid
        self.trunk.shorten(len(STRIDES))
        self.rpn_head, self.box_head, self.predictor = det.rpn.head, det.roi.box_head, det.roi.box_predictor
        self.rpn_nms_iou = det.rpn.nms_thresh
        for level, anchors in enumerate(_anchors(det)):
            self.register_buffer(f"anchors{level}", anchors, persistent=False)
        self.eval()

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        maps = self.trunk(windows.permute(0, 3, 1, 2).float())
        levels = list(self.pyramid({str(i): m for i, m in enumerate(maps)}).values())
        proposals, proposed = self._proposals(levels)
        return self._detections(levels[0], proposals, proposed)

    def _proposals(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (N, PROPOSALS, 4) and whether each is a proposal or padding (N, PROPOSALS)."""
        objectness, deltas = self.rpn_head(levels)
        boxes, scores, shifts = [], [], []
        for level, (logit, delta) in enumerate(zip(objectness, deltas, strict=True)):
            n = logit.shape[0]
            flat = logit.permute(0, 2, 3, 1).reshape(n, -1)
            # (N, A * 4, H, W) -> (N, H * W * A, 4), the order of the anchors
            moves = delta.permute(0, 2, 3, 1).reshape(n, -1, 4)
            top, index = flat.topk(PER_LEVEL, dim=1)
            anchors = getattr(self, f"anchors{level}")[index]
            moves = moves.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
            boxes.append(decode(anchors, moves, (1.0, 1.0, 1.0, 1.0), WINDOW_PX))
            scores.append(top)
            shifts.append(torch.full_like(top, float(level)))
        box, score, level_of = torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(shifts, 1)
        keep = suppress(box, score, len(levels), level_of, iou=self.rpn_nms_iou, side=WINDOW_PX)
        big = ((box[..., 2:] - box[..., :2]) >= _MIN_SIDE_PX).all(-1)
        ranked, index = torch.where(keep & big, score, torch.full_like(score, _ABSENT)).topk(PROPOSALS, dim=1)
        return box.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), ranked > _ABSENT / 2

    def _detections(self, features: Tensor, proposals: Tensor, proposed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = proposals.shape[0]
        owner = torch.arange(n, device=proposals.device).reshape(n, 1, 1).expand(-1, PROPOSALS, 1).to(proposals.dtype)
        rois = torch.cat([owner, proposals], 2).reshape(-1, 5)
        pooled = roi_align(features, rois, 7, 1.0 / STRIDES[0], sampling_ratio=2, aligned=False)
        logits, deltas = self.predictor(self.box_head(pooled))
        probability = logits.softmax(-1)[:, 1].reshape(n, PROPOSALS)
        boxes = decode(proposals, deltas[:, 4:8].reshape(n, PROPOSALS, 4), BBOX_WEIGHTS, WINDOW_PX)
        big = ((boxes[..., 2:] - boxes[..., :2]) >= _MIN_BOX_PX).all(-1)
        valid = proposed & big & (probability > SCORE_FLOOR)
        masked = torch.where(valid, probability, torch.full_like(probability, _ABSENT))
        keep = suppress(boxes, masked, 1, torch.zeros_like(masked), iou=NMS_IOU, side=WINDOW_PX) & valid
        ranked, index = torch.where(keep, probability, torch.zeros_like(probability)).topk(MAX_DETECTIONS, dim=1)
        present = ranked > 0
        chosen = boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)) * present.unsqueeze(-1)
        return chosen, ranked, present.sum(1)


_ABSENT = -1e4
_MIN_SIDE_PX = 1e-3
_MIN_BOX_PX = 1e-2
"""Torchvision drops smaller proposals (rpn.min_size) and boxes (roi_heads)."""


def _anchors(det: Det) -> list[Tensor]:
    """Constant anchors of each level for a 250 px window, float32, (H * W * A, 4), as torchvision lays them out."""
    result = []
    cells = det.rpn.anchor_generator.cell_anchors
    for base, stride in zip(cells, STRIDES, strict=True):
        shift = torch.arange(-(-WINDOW_PX // stride), dtype=torch.float32) * stride
        y, x = torch.meshgrid(shift, shift, indexing="ij")
        offsets = torch.stack([x, y, x, y], -1).reshape(-1, 1, 4)
        result.append((offsets + base.float()).reshape(-1, 4))
    return result


_Model = TypeVar("_Model", bound=nn.Module)


class WholeTileRegNSGraph(nn.Module):
    """tiles uint8 (N, H, W, 3), H and W multiples of 125 -> scores float32 (N, H / 125 - 1, W / 125 - 1).

    The contract of `RegNSGraph`; but a score depends on its surroundings in the tile, and so, a little, on the tile in
    which it is asked for.
    """

    def __init__(self, model: WholeTileRegNS) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        pixels = tiles.permute(0, 3, 1, 2).float()
        enlarged = F.interpolate(pixels, scale_factor=SCALE, mode="bilinear", align_corners=False)
        scores: Tensor = self.model(enlarged)
        return scores


def regns_graph(run: Path) -> RegNSGraph | WholeTileRegNSGraph:
    """Of a screening recipe's run a Reg-NS that sees a tile at once; of a cascade recipe's run one that sees each sub-tile.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    ValueError
        If it is of another kind of recipe.
    """
    recipe, model = load_run(run)
    if isinstance(model, WholeTileRegNS):
        return WholeTileRegNSGraph(model)
    if isinstance(model, CascadeNet) and model.regns is not None:
        return RegNSGraph(model.trunk, model.regns)
    what = "Det alone" if isinstance(model, CascadeNet) else f"a {recipe.kind} recipe"
    raise ValueError(f"{run} is a run of {what}, which has no Reg-NS; give the run of a screening recipe")


def det_graph(run: Path) -> DetGraph:
    """Of a cascade recipe's run; raises as `regns_graph` does."""
    model = _loaded(run, CascadeNet)
    return DetGraph(model.trunk, model.det)


def verifier_graph(runs: Sequence[Path]) -> VerifierGraph:
    """One graph of all verifier recipes' runs; raises as `regns_graph` does."""
    return VerifierGraph([_loaded(run, Verifier) for run in runs])


def _loaded(run: Path, kind: type[_Model]) -> _Model:
    recipe, model = load_run(run)
    if not isinstance(model, kind):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe, not of a {kind.__name__}")
    return model
