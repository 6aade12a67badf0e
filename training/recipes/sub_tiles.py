"""The paper's recipes: one model class on the sub-tiles of labelled pictures."""

from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from training.data.augmentation import AUGMENTATIONS
from training.data.samples import EpochSamples, SamplingOptions
from training.data.sampling import Negatives, epoch, training_events
from training.data.sub_tiles import SubTileTable, make_sub_tiles
from training.engine.recipe import Share, rising_then_cosine, tenfold_falls
from training.engine.task import TrainingTask
from training.evaluation.detection_ap import coco_ap
from training.evaluation.predict import beside_truth, predict
from training.models.classes import MODELS, build
from training.models.heads.registry import HEADS
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet
from training.recipes.registry import KINDS, RecipeKind, TrainingData

VALIDATION_LIMIT = 20_000
"""Sub-tiles that a validation looks at, at most."""


@KINDS.register("sub-tiles")
class SubTileRecipe(RecipeKind):
    """One model class of Ji et al."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "side", "initialisation", "head")

    kind: Literal["sub-tiles"] = "sub-tiles"
    model: str
    """One of the seven classes of Table 1."""
    head: str = ""
    """A registered head, in place of the class's own."""
    epochs: int = Field(gt=0)
    step_epochs: int = Field(default=0, ge=0)
    """Epochs between tenfold falls of the learning rate; without meaning for "cosine"."""
    augmentation: str = "stain-safe"
    """A registered augmentation."""
    side: int = Field(default=250, gt=0)
    """Px that a sub-tile is resized to inside the model."""
    negatives_ratio: float | None = Field(default=None, ge=0)
    negatives_count: int | None = Field(default=None, ge=0)
    redraw_negatives: bool = False
    hard_share: Share = 0.0
    """Share of the negatives that hold a labelled look-alike, e.g. what a viewer rejected; they come again where they are
    few."""
    around_labels: bool = False
    """Sub-tiles in the middle of which is what was labelled, where only parts of a picture were looked at: see
    `make_sub_tiles`."""
    exclude_ambiguous_negatives: bool = False
    """No negatives with places that too few labelers boxed to count (`Picture.ambiguous_areas`)."""
    events: int | None = Field(default=None, gt=0)
    """Events to learn from; None for all (Table 5)."""
    strategy: Literal["event first", "naive aggregation"] = "event first"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model not in MODELS:
            raise ValueError(f"no model class {self.model}; there are {', '.join(MODELS)}")
        _ = HEADS[self.head_name], AUGMENTATIONS[self.augmentation]
        if (self.negatives_ratio or self.negatives_count) and not MODELS[self.model].negatives:
            raise ValueError(
                f"{self.model} is trained without negatives (paper, Table 1); take Reg-NS, Det-NS or Det-NS-WL"
            )
        return self

    @property
    def head_name(self) -> str:
        """The registered head."""
        return self.head or MODELS[self.model].head

    @property
    def learns_boxes(self) -> bool:
        """Whether the model boxes figures, and does not score sub-tiles."""
        return HEADS[self.head_name].learns == "boxes"

    @property
    def negatives(self) -> Negatives:
        """The negatives of an epoch: none where nothing is stated."""
        count = None if self.negatives_ratio is not None else self.negatives_count or 0
        return Negatives(
            self.negatives_ratio,
            count,
            redraw=self.redraw_negatives,
            exclude_ambiguous=self.exclude_ambiguous_negatives,
            hard_share=self.hard_share,
        )

    def sampling(self) -> SamplingOptions:
        """What of the recipe decides on samples."""
        return SamplingOptions(
            seed=self.seed,
            batch=self.batch,
            side=self.side,
            negatives=self.negatives,
            strategy=self.strategy,
            augmentation=self.augmentation,
        )

    def model_name(self) -> str:
        """See `RecipeKind`."""
        return self.model

    def build(self) -> SubTileNet | SubTileDetector:
        """See `RecipeKind`."""
        model = build(self.head_name, backbone=self.backbone, side=self.side, pretrained=self.pretrained)
        model.trunk.freeze(self.frozen_stages)
        return model

    def samples(self, data: TrainingData) -> EpochSamples:
        """The sub-tiles that training shows, epoch by epoch."""
        table = make_sub_tiles(data.train, around_labels=self.around_labels)
        events = training_events(table, limit=self.events, seed=self.seed)
        learns = HEADS[self.head_name].learns
        return EpochSamples(table, data.root, events, self.sampling(), learns)

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """See `RecipeKind`.

        Best is the lowest loss of a net, the highest mAP over positive sub-tiles of a detector (paper, Appendix B).
        """
        if not isinstance(model, SubTileNet | SubTileDetector):
            raise TypeError(f"{self.model} is trained as a net or a detector of sub-tiles, not {type(model).__name__}")
        samples = self.samples(data)
        steps = samples.length // self.batch
        validation = make_sub_tiles(data.validation, around_labels=self.around_labels) if data.validation else None
        if validation is not None and not len(validation.boxes):
            raise ValueError("the pictures to validate on hold no mitotic figure; hold out other patients, or none")
        total = steps * self.epochs
        falls = tenfold_falls(steps * self.step_epochs) if self.schedule == "step" else None
        return TrainingTask(
            self.plan(total, validate_every=steps if validation is not None else 0),
            model,
            samples,
            self.optimizer(model.trunk, model),
            falls or rising_then_cosine(total, self.warmup),
            None if validation is None else lambda: self.validation_figure(model, validation, data),
        )

    def validation_figure(self, model: SubTileNet | SubTileDetector, table: SubTileTable, data: TrainingData) -> float:
        """Loss of a net, or 1 - mAP of a detector, over sub-tiles drawn once for all; lower is better."""
        events = training_events(table, limit=None, seed=0)
        # The authors tried negatives in the validation of detectors, and they hurt (Appendix B).
        asked = Negatives(count=0) if self.learns_boxes else self.negatives
        count = min(asked.number(len(events)), int(asked.find_allowed(table).sum()))
        negatives = Negatives(count=count, exclude_ambiguous=asked.exclude_ambiguous)
        chosen = epoch(table, events, negatives, seed=0, number=0)[:VALIDATION_LIMIT]
        found = predict(model, table, data.root, chosen)
        if isinstance(model, SubTileNet):
            return model.head.validation_loss(*_tensors(found.scores, table.scores[chosen]))
        return 1.0 - coco_ap(beside_truth(found, table, chosen)).ap_50_95

    def check_start(self, before: RecipeKind) -> None:
        """See `RecipeKind`."""
        if not isinstance(before, SubTileRecipe) or HEADS[before.head_name].output != HEADS[self.head_name].output:
            raise ValueError(f"{self.model} cannot start from a run of {before.model_name()}: their outputs differ")


def _tensors(scores: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(scores), torch.from_numpy(targets)
