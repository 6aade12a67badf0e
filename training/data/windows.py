"""Training windows: 250 px sub-tiles with the boxes of every mitotic figure in them.

Crops hold only positives and come from other scanners than the fields, so a net could learn to tell the sources apart
instead of the figures. Three habits break that confound: every source gives positives *and* negatives, the negatives of
crops are made from the same crops, and whatever is done to a positive (pasting, resizing, re-compressing) is done to
negatives alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training.data.augmentation import StainLook, dihedral, photometric_picture, restain
from training.data.crops import CROP_PX, CropBank
from training.data.fields import Field

if TYPE_CHECKING:
    from serving.synthetic.field import SyntheticField

WINDOW_PX = 250
NOMINAL_BOX_PX = 32
"""Side given to the box of a crop's figure, whose outline is unknown: the median field box is 28 x 27 px."""
_COVER_PX = 54
"""Side of the patch that covers a crop's figure in its negative twin."""

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """pixels : uint8, shape (250, 250, 3). boxes : float32, shape (N, 4), xyxy, window px, not clipped at its edges."""

    pixels: Pixels
    boxes: Boxes


Source = Callable[[np.random.Generator], TrainingWindow]
_Square = tuple[Field, int, int, int]
"""A field, and x, y and side of a square in it, px."""
_ZOOM = (0.85, 1.2)
_MOST_TRIES = 10_000


@dataclass(frozen=True, slots=True)
class WindowSampler:
    """Draws windows from several sources by weight, then augments them; the draw depends on the generator alone."""

    sources: Sequence[tuple[float, Source]]

    def draw(self, rng: np.random.Generator) -> TrainingWindow:
        """One augmented window."""
        weights = np.asarray([w for w, _ in self.sources])
        source = self.sources[rng.choice(len(self.sources), p=weights / weights.sum())][1]
        window = source(rng)
        pixels, boxes = dihedral(window.pixels, window.boxes, int(rng.integers(8)))
        return TrainingWindow(photometric_picture(pixels, rng), boxes)


def collage_source(bank: CropBank, *, side: float = WINDOW_PX, size: int = WINDOW_PX, share: float = 0.5) -> Source:
    """Windows of 128 px cells, each a crop or its negative twin, cut at a random offset.

    side : px of the collage that a window shows at scale 1; size : px of the window
    share : of the crops that show their figure
    """

    def draw(rng: np.random.Generator) -> TrainingWindow:
        return collage_cut(bank, rng, side=round(side * rng.uniform(*_ZOOM)), size=size, share=share)

    return draw


def collage_cut(bank: CropBank, rng: np.random.Generator, *, side: int, size: int, share: float) -> TrainingWindow:
    """A square of `side` px from anywhere in a collage, resized to `size`; `share` of its crops show their figure."""
    canvas, boxes = collage(bank, -(-side // CROP_PX) + 1, rng, share=share)
    x, y = rng.integers(0, canvas.shape[0] - side + 1, 2)
    return _cut(canvas, boxes, x, y, side, size=size)


def collage(
    bank: CropBank, cells: int, rng: np.random.Generator, *, share: float, chosen: NDArray[np.intp] | None = None
) -> tuple[Pixels, Boxes]:
    """A square of `cells` x `cells` crops, the figure left in `share` of them and covered in the others.

    chosen : the crops to draw from; by default all
    -> uint8, shape (128 cells, 128 cells, 3); float32, shape (N, 4), xyxy px
    """
    canvas, boxes = np.empty((cells * CROP_PX, cells * CROP_PX, 3), np.uint8), []
    for row, column in np.ndindex(cells, cells):
        crop, positive = _cell(bank, rng, chosen=chosen, share=share)
        y, x = row * CROP_PX, column * CROP_PX
        canvas[y : y + CROP_PX, x : x + CROP_PX] = crop
        if positive:
            boxes.append(_centre_box(x + CROP_PX / 2, y + CROP_PX / 2))
    return canvas, np.asarray(boxes, np.float32).reshape(-1, 4)


def event_source(fields: Sequence[Field], *, side: float = WINDOW_PX, size: int = WINDOW_PX) -> Source:
    """Event first, then a window that holds it (paper, "Sampling strategy"), at a random offset and scale.

    side : px of the field that a window shows at scale 1; size : px of the window
    """
    events = [(field, box) for field in fields for box in field.boxes]

    def place(rng: np.random.Generator) -> _Square:
        field, box = events[rng.integers(len(events))]
        shown = round(side * rng.uniform(*_ZOOM))
        low = np.maximum(box[2:] - shown + 2, 0)
        high = np.minimum(box[:2] - 2, np.asarray(field.pixels.shape[1::-1]) - shown)
        x, y = (int(rng.integers(min(a, b), max(a, b) + 1)) for a, b in zip(low, high, strict=True))
        height, width = field.pixels.shape[:2]
        return field, min(max(x, 0), width - shown), min(max(y, 0), height - shown), shown

    return _allowed(place, size)


def background_source(fields: Sequence[Field], *, side: float = WINDOW_PX, size: int = WINDOW_PX) -> Source:
    """Any window of a field; its boxes, if it has any, come along.

    side : px of the field that a window shows at scale 1; size : px of the window
    """

    def place(rng: np.random.Generator) -> _Square:
        field = fields[int(rng.integers(len(fields)))]
        shown = round(side * rng.uniform(*_ZOOM))
        x, y = (int(rng.integers(0, n - shown + 1)) for n in field.pixels.shape[1::-1])
        return field, x, y, shown

    return _allowed(place, size)


def _allowed(place: Callable[[np.random.Generator], _Square], size: int) -> Source:
    """Windows of the places that touch no forbidden area."""

    def draw(rng: np.random.Generator) -> TrainingWindow:
        for _ in range(_MOST_TRIES):
            field, x, y, side = place(rng)
            f = field.forbidden
            if not np.any((f[:, 0] < x + side) & (f[:, 2] > x) & (f[:, 1] < y + side) & (f[:, 3] > y)):
                return _cut(field.pixels, field.boxes, x, y, side, size=size)
        raise ValueError(f"{_MOST_TRIES} windows in turn touched what nobody looked at or agreed on")

    return draw


def composite_source(bank: CropBank, background: Source) -> Source:
    """Figures from crops, and as many negative twins, pasted into backgrounds by one route, stain matched."""

    def draw(rng: np.random.Generator) -> TrainingWindow:
        window = background(rng)
        pixels, boxes = window.pixels.copy(), list(window.boxes)
        for _ in range(int(rng.integers(1, 5))):
            crop, positive = _cell(bank, rng)
            crop = _match_stain(crop, window.pixels, rng)
            cx, cy = rng.integers(34, WINDOW_PX - 34, 2)
            box = _centre_box(cx, cy)
            if any(np.abs((b[:2] + b[2:]) / 2 - (cx, cy)).max() < 64 for b in boxes):
                continue
            _paste(pixels, crop[32:96, 32:96], cx - 32, cy - 32)
            if positive:
                boxes.append(box)
        return TrainingWindow(pixels, np.asarray(boxes, np.float32).reshape(-1, 4))

    return draw


def synthetic_source(fields: Sequence["SyntheticField"]) -> Source:
    """Windows of generated fields, whose truth is known."""
    return background_source(
        [
            Field("synthetic", "synthetic", 0.25, f.pixels, f.mitotic_figures, np.empty((0, 4), np.float32))
            for f in fields
        ]
    )


def _cell(
    bank: CropBank, rng: np.random.Generator, *, chosen: NDArray[np.intp] | None = None, share: float = 0.5
) -> tuple[Pixels, bool]:
    """A crop whose figure is left, or covered with a patch of its own surroundings; both carry one pasted patch."""
    number = rng.integers(len(bank)) if chosen is None else chosen[rng.integers(len(chosen))]
    crop = bank.pixels[number].copy()
    positive = bool(rng.random() < share)
    corners = [(0, 0), (CROP_PX - _COVER_PX, 0), (0, CROP_PX - _COVER_PX), (CROP_PX - _COVER_PX, CROP_PX - _COVER_PX)]
    source, target = rng.permutation(4)[:2]
    sx, sy = corners[source]
    patch = dihedral(
        crop[sy : sy + _COVER_PX, sx : sx + _COVER_PX], np.empty((0, 4), np.float32), int(rng.integers(8))
    )[0].copy()
    middle = (CROP_PX - _COVER_PX) // 2
    x, y = corners[target] if positive else (middle, middle)
    _paste(crop, patch, x, y)
    crop = dihedral(crop, np.empty((0, 4), np.float32), int(rng.integers(8)))[0]
    return crop, positive


def _paste(canvas: Pixels, patch: Pixels, x: int, y: int) -> None:
    """Blend a square patch into the canvas through a soft-edged disc."""
    side = patch.shape[0]
    offset = np.abs(np.arange(side) - (side - 1) / 2)
    radius = np.hypot(offset[:, None], offset[None, :])
    alpha = np.clip((side / 2 - radius) / 6.0, 0, 1)[..., None]
    under = canvas[y : y + side, x : x + side]
    under[:] = (alpha * patch + (1 - alpha) * under).astype(np.uint8)


def _match_stain(crop: Pixels, target: Pixels, rng: np.random.Generator) -> Pixels:
    """The crop with the target's stain, not always fully."""
    own, other = (torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1))).float()[None] for p in (crop, target))
    share = torch.tensor([rng.uniform(0.5, 1.0)], dtype=torch.float32)
    matched = restain(own, StainLook.from_pictures(own), StainLook.from_pictures(other), share)[0]
    return np.ascontiguousarray(matched.permute(1, 2, 0).to(torch.uint8).numpy())


def _centre_box(x: float, y: float) -> Boxes:
    half = NOMINAL_BOX_PX / 2
    return np.asarray([x - half, y - half, x + half, y + half], np.float32)


def _cut(pixels: Pixels, boxes: Boxes, x: int, y: int, side: int, *, size: int = WINDOW_PX) -> TrainingWindow:
    """The square [x, x + side) resized to `size` px, with the boxes that touch it."""
    window = np.asarray(
        Image.fromarray(pixels[y : y + side, x : x + side]).resize((size, size), Image.Resampling.BILINEAR)
    )
    moved = (boxes - np.asarray([x, y, x, y], np.float32)) * np.float32(size / side)
    touching = (moved[:, 2] > 0) & (moved[:, 3] > 0) & (moved[:, 0] < size) & (moved[:, 1] < size)
    return TrainingWindow(window, moved[touching].astype(np.float32))
