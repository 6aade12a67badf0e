"""Windows that a verifier learns from, drawn and augmented in batches.

Crops and fields come from different scanners, so a net could learn to tell sources apart. Each source therefore gives
figures and negatives, stains are exchanged between sources, and all windows pass through one resampling.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from training.data.augmentation import STANDARD, Photometric, StainLook, photometric, restain
from training.data.candidates import LABELS, Label, LabelledPlaces


class Draw(BaseModel):
    """So many windows of one label in every batch."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    label: Label
    count: int = Field(gt=0)
    stores: tuple[str, ...] = ()
    """Names of the stores to draw from; empty for all."""
    pictures: Literal["all", "crops", "fields"] = "all"
    """Whether to draw from crops of one figure, from larger fields, or from both."""


class Geometry(BaseModel):
    """How windows lie around places."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    window_px: int = Field(default=64, ge=64, le=128, multiple_of=16)
    mpp: float = Field(default=0.25, gt=0)
    """um/px of a window; pictures of other resolutions are resampled."""
    jitter_px: float = Field(default=4.0, ge=0)
    """Standard deviation of a place from the window's middle."""
    jitter_limit_px: float = Field(default=10.0, ge=0)
    zoom: tuple[float, float] = (0.82, 1.15)
    """Range of the scale, drawn log-uniformly; above 1 shows more tissue."""
    stretch: float = Field(default=0.0, ge=0, lt=0.3)
    """Standard deviation of the logarithm of the ratio of the sides."""
    restained: float = Field(default=0.5, ge=0, le=1)
    """Share of the windows that take the stain of another window of the batch, or of the unlabelled pictures."""


@dataclass(frozen=True, slots=True)
class _View:
    """How each of M windows is seen.

    offsets : float64, (M, 2), of its middle from the place, px of the window. zoom, stretch : (M,), see `Geometry`
    turn : (M,), radians; mirror : (M,), -1 to mirror it, else 1
    """

    offsets: NDArray[np.float64]
    zoom: NDArray[np.float64]
    stretch: NDArray[np.float64]
    turn: NDArray[np.float64]
    mirror: NDArray[np.float64]


@dataclass(slots=True)
class VerifierWindows:
    """Draws batches from places. `weights` says how often each place is drawn, float64, (N,); see `Resampling`.

    looks : stains of further pictures, which need no labels
    """

    candidates: LabelledPlaces
    draws: Sequence[Draw]
    classes: Sequence[Label]
    geometry: Geometry
    amount: Photometric = STANDARD
    looks: StainLook | None = None
    soft: bool = False
    weights: NDArray[np.float64] = field(init=False)
    _pools: list[NDArray[np.intp]] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = np.ones(len(self.candidates))
        self._pools = [self._pool(draw) for draw in self.draws]

    def _pool(self, draw: Draw) -> NDArray[np.intp]:
        known = self.candidates.label == LABELS.index(draw.label)
        if draw.stores:
            known &= np.isin(self.candidates.store, draw.stores)
        if draw.pictures != "all":
            known &= self.candidates.crop == (draw.pictures == "crops")
        pool = np.flatnonzero(known)
        if not len(pool):
            of = f" in {', '.join(draw.stores)}" if draw.stores else ""
            kind = "" if draw.pictures == "all" else f" of {draw.pictures}"
            raise ValueError(f"the recipe draws {draw.label}s{of}{kind}, and the data hold none")
        return pool

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Which places may be drawn, (N,)."""
        known = np.zeros(len(self.candidates), np.bool_)
        for pool in self._pools:
            known[pool] = True
        return known

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Windows, uint8, (M, 3, W, W), and labels, float32, (M, classes)."""
        chosen = np.concatenate(
            [
                rng.choice(pool, size=draw.count, p=self.weights[pool] / self.weights[pool].sum())
                for draw, pool in zip(self.draws, self._pools, strict=True)
            ]
        )
        windows = self.windows(chosen, rng)
        return windows.to(torch.uint8), self.labels(chosen)

    def windows(self, chosen: NDArray[np.intp], rng: np.random.Generator) -> Tensor:
        """Turned, mirrored, scaled and augmented windows of places, float32, (M, 3, W, W)."""
        g, count = self.geometry, len(chosen)
        view = _View(
            offsets=rng.normal(0, g.jitter_px, (count, 2)).clip(-g.jitter_limit_px, g.jitter_limit_px),
            zoom=np.exp(rng.uniform(math.log(g.zoom[0]), math.log(g.zoom[1]), count)),
            stretch=np.exp(rng.normal(0, g.stretch, count)),
            turn=rng.uniform(0, 2 * math.pi, count),
            mirror=rng.choice([-1.0, 1.0], count),
        )
        surroundings = self._surroundings(chosen, float((view.zoom * np.maximum(view.stretch, 1 / view.stretch)).max()))
        windows = self._resample(chosen, surroundings, view)
        own = StainLook.from_pictures(surroundings)
        other = torch.from_numpy(rng.permutation(count))
        new = own.select(other)
        if self.looks is not None:
            # Half of the exchanged stains come from pictures without labels.
            from_looks = torch.from_numpy(rng.random(count) < 0.5)[:, None]
            more = self.looks.select(torch.from_numpy(rng.integers(len(self.looks.mean), size=count)))
            new = StainLook(
                torch.where(from_looks, more.mean, new.mean), torch.where(from_looks, more.spread, new.spread)
            )
        share = rng.uniform(0.4, 1.0, count) * (rng.random(count) < g.restained)
        windows = restain(windows, own, new, torch.from_numpy(share).float())
        return photometric(windows, rng, self.amount)

    def plain_windows(self, chosen: NDArray[np.intp]) -> Tensor:
        """Windows of places as serving shows them, float32, (M, 3, W, W)."""
        ones = np.ones(len(chosen))
        straight = _View(np.zeros((len(chosen), 2)), ones, ones, np.zeros(len(chosen)), ones)
        return self._resample(chosen, self._surroundings(chosen, 1.0), straight)

    def labels(self, chosen: NDArray[np.intp]) -> Tensor:
        """Labels of places, float32, (M, classes); what is of no class of its own is of the class "other", else of the last.

        With `soft` the first class has the share of the raters who call a place so, that class the rest: of figures, and of all
        places where the kinds of figures are told apart.
        """
        known = {name: i for i, name in enumerate(self.classes)}
        rest = known.get("other", len(self.classes) - 1)
        of = np.asarray([known.get(name, rest) for name in LABELS])
        labels = np.eye(len(self.classes), dtype=np.float32)[of[self.candidates.label[chosen]]]
        if self.soft:
            figure = self.candidates.label[chosen] == LABELS.index("figure")
            rated = figure if self.classes[0] == "figure" else np.ones_like(figure)
            share = self.candidates.soft[chosen][rated]
            labels[rated] = 0
            labels[rated, 0], labels[rated, rest] = share, 1 - share
        return torch.from_numpy(labels)

    def _scale(self, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        """Px of its picture that a px of each window shows, (M,)."""
        mpp = np.asarray([self.candidates.fields[f].mpp for f in self.candidates.field[chosen]])
        return self.geometry.mpp / mpp

    def _surroundings(self, chosen: NDArray[np.intp], zoom: float) -> Tensor:
        """What the windows are resampled from, float32, (M, 3, S, S), S for the widest of them."""
        g = self.geometry
        reach = g.window_px / math.sqrt(2) * zoom + g.jitter_limit_px
        side = 2 * math.ceil(reach * float(self._scale(chosen).max()) + 1)
        cut = self.candidates.cut(chosen, side)
        return torch.from_numpy(np.ascontiguousarray(cut.transpose(0, 3, 1, 2))).float()

    def _resample(
        self,
        chosen: NDArray[np.intp],
        surroundings: Tensor,
        view: "_View",
    ) -> Tensor:
        """Windows by one bilinear resampling."""
        scale, side, window = self._scale(chosen), surroundings.shape[-1], self.geometry.window_px
        # The place itself lies between px: what rounding the cut's corner left over.
        centre = self.candidates.centre[chosen].astype(np.float64)
        rest = centre - (np.round(centre - side / 2) + side / 2)
        steps = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
        down, across = torch.meshgrid(steps, steps, indexing="ij")

        def column(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(np.asarray(values, np.float64))[:, None, None]

        wide, tall = across[None] * column(view.mirror * view.stretch), down[None] / column(view.stretch)
        cosine, sine = column(np.cos(view.turn) * view.zoom * scale), column(np.sin(view.turn) * view.zoom * scale)
        x = cosine * wide - sine * tall + column(view.offsets[:, 0] * scale + rest[:, 0])
        y = sine * wide + cosine * tall + column(view.offsets[:, 1] * scale + rest[:, 1])
        grid = (torch.stack([x, y], -1) * (2 / side)).float()
        return F.grid_sample(surroundings, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def join_windows(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Batches as one."""
    return torch.cat([windows for windows, _ in parts]), torch.cat([labels for _, labels in parts])
