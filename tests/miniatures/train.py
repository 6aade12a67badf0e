"""`python -m tests.miniatures.train`: trains the graphs in this folder, a minute on two cores.

Both are the same few convolutions with another head, each at a resolution of its own. They learn generated tissue from seeds
that no test uses.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from serving.core.geometry import Region, WorkFrame
from serving.scoring.reading import read_mirrored
from serving.slides.arrayslide import ArraySlide
from serving.synthetic.field import MPP, generate_field
from tests.miniatures.cards import BOXES_MPP, BOXES_PX, POINTS_MPP, POINTS_PX

HERE = Path(__file__).parent
STRIDE = 4
"""Px of the window per place of the map."""
FIELDS, FIELD_PX = 16, 1024
STEPS, BATCH, CROP = 700, 8, 128
REACH_UM = 5.0
"""Places nearer than this to the middle of a figure are its own."""


class Trunk(nn.Module):
    """uint8 pictures, shape (N, H, W, 3), to features, shape (N, 32, H / 4, W / 4); pixels are brought to -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, 1, 2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, 1, 2, dilation=2),
            nn.ReLU(),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Features."""
        found: Tensor = self.layers((windows.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
        return found


class PointsNet(nn.Module):
    """How likely each place shows the middle of a figure."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = Trunk(), nn.Conv2d(32, 1, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Probabilities, shape (N, H / 4, W / 4)."""
        return torch.sigmoid(self.head(self.trunk(windows))[:, 0])


class BoxesNet(nn.Module):
    """A box at each place."""

    def __init__(self, mpp: float) -> None:
        super().__init__()
        self.trunk, self.head, self.unit = Trunk(), nn.Conv2d(32, 5, 1), 10 / mpp

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes, shape (N, M, 4), xyxy, and probabilities, shape (N, M)."""
        raw = self.head(self.trunk(windows))
        middles = list_middles(raw.shape[2], raw.shape[3])
        sides = F.softplus(raw[:, 1:]) * self.unit
        boxes = torch.cat([middles - sides[:, :2], middles + sides[:, 2:]], 1)
        return boxes.flatten(2).transpose(1, 2), torch.sigmoid(raw[:, 0]).flatten(1)


def list_middles(rows: int, columns: int) -> Tensor:
    """The middle of each place in the window, (x, y), px, shape (2, rows, columns)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x, y], 0).float() + 0.5) * STRIDE


def read_fields(mpp: float) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Pictures at a resolution, with the boxes of their figures."""
    frame, found = WorkFrame.from_mpp(MPP, mpp), []
    for seed in range(FIELDS):
        drawn = generate_field(
            seed=1000 + seed, width=FIELD_PX, height=FIELD_PX, mitoses_per_mm2=250.0, lookalikes_per_mm2=250.0
        )
        whole = Region(0, 0, *frame.size_to_work(FIELD_PX, FIELD_PX))
        pixels = read_mirrored(ArraySlide(drawn.pixels, mpp=MPP), frame, whole)
        found.append((pixels, (drawn.mitotic_figures / frame.scale).astype(np.float32)))
    return found


def draw_batch(
    fields: list[tuple[NDArray[np.uint8], NDArray[np.float32]]], rng: np.random.Generator, mpp: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops, which of their places are a figure's, shape (N, h, w), and the boxes there, shape (N, 4, h, w), l, t, r, b."""
    side = CROP // STRIDE
    crops, owned, boxes = np.empty((BATCH, CROP, CROP, 3), np.uint8), np.zeros((BATCH, side, side)), []
    middles = (np.arange(side) + 0.5) * STRIDE
    for n in range(BATCH):
        pixels, figures = fields[rng.integers(len(fields))]
        x, y = (int(rng.integers(0, size - CROP + 1)) for size in (pixels.shape[1], pixels.shape[0]))
        crops[n] = pixels[y : y + CROP, x : x + CROP]
        sides = np.zeros((4, side, side), np.float32)
        for x1, y1, x2, y2 in figures - np.asarray([x, y, x, y], np.float32):
            across, down = middles - (x1 + x2) / 2, middles - (y1 + y2) / 2
            own = np.hypot(across[None], down[:, None]) <= REACH_UM / mpp / 1.5
            owned[n][own] = 1
            around = np.broadcast_arrays(
                middles[None] - x1, middles[:, None] - y1, x2 - middles[None], y2 - middles[:, None]
            )
            sides[:, own] = np.stack(around)[:, own]
        boxes.append(sides)
    return torch.from_numpy(crops), torch.from_numpy(owned).float(), torch.from_numpy(np.stack(boxes))


def train(net: nn.Module, mpp: float, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Fit a net to generated tissue."""
    fields, rng = read_fields(mpp), np.random.default_rng(0)
    print("drawn", flush=True)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        crops, owned, boxes = draw_batch(fields, rng, mpp)
        turned = int(rng.integers(2))
        if turned:
            crops, owned, boxes = crops.flip(2), owned.flip(2), boxes.flip(3)[:, [2, 1, 0, 3]]
        cost = loss(crops, owned, boxes)
        optimizer.zero_grad()
        cost.backward()  # type: ignore[no-untyped-call]  # as torch types it
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(step, f"{float(cost.detach()):.4f}", flush=True)


def focal(probability: Tensor, owned: Tensor) -> Tensor:
    """Focal loss (Lin et al., 2017) with gamma 2, per figure's place."""
    right = torch.where(owned > 0, probability, 1 - probability).clamp(1e-6, 1)
    weight = torch.where(owned > 0, 0.75, 0.25)
    return -(weight * (1 - right) ** 2 * right.log()).sum() / owned.sum().clamp(min=1)


def export(net: nn.Module, path: Path, side: int, outputs: list[str], axes: dict[str, dict[int, str]]) -> None:
    """Write the graph."""
    torch.onnx.export(
        net.eval(),
        (torch.zeros((2, side, side, 3), dtype=torch.uint8),),
        str(path),
        input_names=["windows"],
        output_names=outputs,
        dynamic_axes={"windows": {0: "n"}, **axes},
        opset_version=18,
        dynamo=False,
    )


def main() -> None:
    """Train and write both."""
    torch.manual_seed(0)
    points = PointsNet()
    nn.init.constant_(points.head.bias, -math.log(99))  # type: ignore[arg-type]  # it has one
    train(points, POINTS_MPP, lambda crops, owned, _: focal(points(crops), owned))
    export(points, HERE / "points.onnx", POINTS_PX, ["probabilities"], {"probabilities": {0: "n"}})
    boxes = BoxesNet(BOXES_MPP)

    def loss(crops: Tensor, owned: Tensor, sides: Tensor) -> Tensor:
        found, probability = boxes(crops)
        place = list_middles(owned.shape[1], owned.shape[2])
        true = torch.cat([place - sides[:, :2], place + sides[:, 2:]], 1).flatten(2).transpose(1, 2)
        own = owned.flatten(1) > 0
        away = F.smooth_l1_loss(found[own] / boxes.unit, true[own] / boxes.unit, beta=0.1) if own.any() else 0.0
        return focal(probability, owned.flatten(1)) + away

    train(boxes, BOXES_MPP, loss)
    export(
        boxes,
        HERE / "boxes.onnx",
        BOXES_PX,
        ["boxes", "probabilities"],
        {"boxes": {0: "n"}, "probabilities": {0: "n"}},
    )


if __name__ == "__main__":
    main()
