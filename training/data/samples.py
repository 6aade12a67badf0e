"""What a model learns from: sub-tile number i of a run, augmented, with its target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.data.augmentation import AUGMENTATIONS
from training.data.sampling import Negatives, epoch
from training.data.sub_tiles import WINDOW_PX, SubTileTable, read_sub_tile

R_MIN = 0.25
"""Det learns boxes of which at least this share lies in the sub-tile."""


@dataclass(frozen=True, slots=True)
class Sample:
    """pixels : uint8, (S, S, 3), S at most 250; score : s_t; boxes : float32, (N, 4), xyxy window px; agreement : float32, (N,)."""

    pixels: NDArray[np.uint8]
    score: float
    boxes: NDArray[np.float32]
    agreement: NDArray[np.float32]


def read_sample(table: SubTileTable, root: Path, index: int) -> Sample:
    """A sub-tile with what lies in it."""
    boxes, agreement = find_boxes(table, index)
    return Sample(read_sub_tile(root, table, index), float(table.scores[index]), boxes, agreement)


def find_boxes(table: SubTileTable, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What Det learns of a sub-tile: boxes, float32, (N, 4), xyxy window px, cut at its edges, and their agreement."""
    rows = table.events_in(index)
    events = table.event[rows][table.fraction[rows] >= R_MIN]
    moved = table.boxes[events] - np.tile(table.origins[index], 2).astype(np.float32)
    return moved.clip(0, WINDOW_PX), table.agreement[events]


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """What decides on a run's samples, beside the data. side : px that samples are shrunk to; batch : a step's."""

    seed: int
    batch: int
    side: int
    negatives: Negatives
    strategy: Literal["event first", "naive aggregation"]
    augmentation: str


@dataclass(slots=True)
class EpochSamples:
    """The epochs of a run, one after the other; sample i depends on the seed and i alone.

    learns : what is collated, s_t or boxes
    """

    table: SubTileTable
    root: Path
    events: NDArray[np.int32]
    sampling: SamplingOptions
    learns: Literal["scores", "boxes"]
    length: int = field(init=False)
    """Samples an epoch, a multiple of the batch."""

    def __post_init__(self) -> None:
        drawn = len(self.order(0))
        if not drawn:
            raise ValueError("nothing to learn from: no events and no negatives")
        self.length = max(drawn // self.sampling.batch, 1) * self.sampling.batch

    def order(self, number: int) -> NDArray[np.int32]:
        """Sub-tiles of an epoch, in order."""
        return _order(_Hashed(self.table), self.events.tobytes(), self.sampling, number)

    def __getitem__(self, index: int) -> Sample:
        number, position = divmod(index, self.length)
        order = self.order(number)
        sample = shrink(read_sample(self.table, self.root, int(order[position % len(order)])), self.sampling.side)
        return augment(sample, self.sampling.augmentation, np.random.default_rng([self.sampling.seed, 5, index]))

    def collate(self, samples: Sequence[Sample]) -> tuple[Any, ...]:
        """As the models' forward takes them."""
        return collate_boxes(samples) if self.learns == "boxes" else collate_scores(samples)


@dataclass(frozen=True, slots=True, eq=False)
class _Hashed:
    """A table as a cache key: the same object, not the same content."""

    table: SubTileTable

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.table is self.table


@lru_cache(maxsize=2)
def _order(table: _Hashed, events: bytes, sampling: SamplingOptions, number: int) -> NDArray[np.int32]:
    return epoch(
        table.table,
        np.frombuffer(events, np.int32),
        sampling.negatives,
        seed=sampling.seed,
        number=number,
        strategy=sampling.strategy,
    )


def shrink(sample: Sample, side: int) -> Sample:
    """A sample at the size that the model will shrink it to anyway: augmenting fewer pixels takes less time."""
    if side >= WINDOW_PX:
        return sample
    pixels = np.asarray(Image.fromarray(sample.pixels).resize((side, side), Image.Resampling.BILINEAR))
    return Sample(pixels, sample.score, sample.boxes * np.float32(side / WINDOW_PX), sample.agreement)


def augment(sample: Sample, augmentation: str, rng: np.random.Generator) -> Sample:
    """A sample as a registered augmentation shows it."""
    pixels, boxes = AUGMENTATIONS[augmentation](sample.pixels, sample.boxes, rng)
    return Sample(pixels, sample.score, boxes, sample.agreement)


def collate_scores(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Pixels uint8 (N, 3, S, S) and s_t float32 (N,), as `SubTileNet.forward` takes them."""
    return stack_images(samples), torch.tensor([s.score for s in samples])


def collate_boxes(samples: Sequence[Sample]) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Pixels and torchvision's targets, as `SubTileDetector.forward` takes them."""
    return stack_images(samples), [
        {
            "boxes": torch.from_numpy(s.boxes.copy()),
            "labels": torch.ones(len(s.boxes), dtype=torch.int64),
            "agreement": torch.from_numpy(s.agreement.copy()),
        }
        for s in samples
    ]


def stack_images(samples: Sequence[Sample]) -> Tensor:
    """Pixels of samples, uint8, (N, 3, S, S)."""
    stacked: Any = np.stack([s.pixels for s in samples]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked))
