"""What a model learns from: sub-tile number i of a run, augmented, with its target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from training.data.augmentation import dihedral, photometric
from training.data.pixels import read_sub_tile
from training.data.sampling import Negatives, epoch
from training.data.sub_tiles import WINDOW_PX, SubTiles
from training.recipes.recipe import Recipe

R_MIN = 0.25
"""Det learns boxes of which at least this share lies in the sub-tile."""

_DISTORT = v2.RandomPhotometricDistort()
"""The paper's "random photo-metric distortion from torchvision", which also permutes colour channels."""


@dataclass(frozen=True, slots=True)
class Sample:
    """pixels : uint8, (S, S, 3), S at most 250; score : s_t; boxes : float32, (N, 4), xyxy window px; agreement : float32, (N,)."""

    pixels: NDArray[np.uint8]
    score: float
    boxes: NDArray[np.float32]
    agreement: NDArray[np.float32]


def sample_of(table: SubTiles, root: Path, index: int) -> Sample:
    """A sub-tile with what lies in it."""
    boxes, agreement = boxes_of(table, index)
    return Sample(read_sub_tile(root, table, index), float(table.scores[index]), boxes, agreement)


def boxes_of(table: SubTiles, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What Det learns of a sub-tile: boxes, float32, (N, 4), xyxy window px, cut at its edges, and their agreement."""
    rows = table.events_in(index)
    events = table.event[rows][table.fraction[rows] >= R_MIN]
    moved = table.boxes[events] - np.tile(table.origins[index], 2).astype(np.float32)
    return moved.clip(0, WINDOW_PX), table.agreement[events]


@dataclass(slots=True)
class EpochSamples(Dataset[Sample]):
    """The epochs of a run, one after the other; sample i depends on the recipe's seed and i alone."""

    table: SubTiles
    root: Path
    events: NDArray[np.int32]
    recipe: Recipe
    length: int = field(init=False)
    """Samples an epoch, a multiple of the batch."""

    def __post_init__(self) -> None:
        drawn = len(self.order(0))
        if not drawn:
            raise ValueError("nothing to learn from: no events and no negatives")
        self.length = max(drawn // self.recipe.batch, 1) * self.recipe.batch

    @property
    def negatives(self) -> Negatives:
        """The recipe's negatives."""
        return negatives_of(self.recipe)

    def order(self, number: int) -> NDArray[np.int32]:
        """Sub-tiles of an epoch, in order."""
        return _order(_Hashed(self.table), self.events.tobytes(), self.negatives, self.recipe, number)

    def __getitem__(self, index: int) -> Sample:
        number, position = divmod(index, self.length)
        order = self.order(number)
        sample = sample_of(self.table, self.root, int(order[position % len(order)]))
        return augmented(
            shrunk(sample, self.recipe.side), self.recipe, np.random.default_rng([self.recipe.seed, 5, index])
        )


def negatives_of(recipe: Recipe) -> Negatives:
    """Negatives as a recipe states them: none where it states nothing."""
    count = None if recipe.negatives_ratio is not None else recipe.negatives_count or 0
    return Negatives(
        recipe.negatives_ratio,
        count,
        redraw=recipe.redraw_negatives,
        exclude_ambiguous=recipe.exclude_ambiguous_negatives,
        hard_share=recipe.hard_share,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Hashed:
    """A table as a cache key: the same object, not the same content."""

    table: SubTiles

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.table is self.table


@lru_cache(maxsize=2)
def _order(table: _Hashed, events: bytes, negatives: Negatives, recipe: Recipe, number: int) -> NDArray[np.int32]:
    return epoch(
        table.table,
        np.frombuffer(events, np.int32),
        negatives,
        seed=recipe.seed,
        number=number,
        strategy=recipe.strategy,
    )


def shrunk(sample: Sample, side: int) -> Sample:
    """A sample at the size that the model will shrink it to anyway: augmenting fewer pixels takes less time."""
    if side >= WINDOW_PX:
        return sample
    pixels = np.asarray(Image.fromarray(sample.pixels).resize((side, side), Image.Resampling.BILINEAR))
    return Sample(pixels, sample.score, sample.boxes * np.float32(side / WINDOW_PX), sample.agreement)


def augmented(sample: Sample, recipe: Recipe, rng: np.random.Generator) -> Sample:
    """A sample as a scanner, or the paper's augmentation, might have shown it."""
    if recipe.augmentation == "stain-safe":
        pixels, boxes = dihedral(sample.pixels, sample.boxes, int(rng.integers(8)))
        return Sample(photometric(np.ascontiguousarray(pixels), rng), sample.score, boxes, sample.agreement)
    pixels, boxes = dihedral(sample.pixels, sample.boxes, int(rng.integers(2)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        distorted = _DISTORT(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))
    return Sample(distorted.permute(1, 2, 0).contiguous().numpy(), sample.score, boxes, sample.agreement)


def collate_scores(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 (N, 3, S, S) and s_t float32 (N,), as `SubTileNet.forward` takes them."""
    return images_of(samples), torch.tensor([s.score for s in samples])


def collate_boxes(samples: Sequence[Sample]) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Pixels and torchvision's targets, as `SubTileDetector.forward` takes them."""
    return images_of(samples), [
        {
            "boxes": torch.from_numpy(s.boxes.copy()),
            "labels": torch.ones(len(s.boxes), dtype=torch.int64),
            "agreement": torch.from_numpy(s.agreement.copy()),
        }
        for s in samples
    ]


def images_of(samples: Sequence[Sample]) -> Tensor:
    """Pixels of samples, uint8, (N, 3, S, S)."""
    stacked: Any = np.stack([s.pixels for s in samples]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked))
