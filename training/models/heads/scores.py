"""Heads that give one number a sub-tile: BC's and Reg's."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from training.models.heads.registry import HEADS
from training.models.sub_tile_net import ScoreHead

REG_THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Scores at which Reg and Reg-NS are judged (paper, Tables 6 and 7)."""
BC_THRESHOLDS = (0.5,)
"""The probability at which BC is judged (paper, Table 4)."""


@HEADS.register("score")
class RegressedScore(ScoreHead):
    """Reg and Reg-NS: squared error against s_t (paper, Appendix A); the score is unbounded."""

    thresholds: ClassVar[Sequence[float]] = REG_THRESHOLDS
    output: ClassVar[str] = "regressed s_t, 0 for no figure, about 1 for a whole one; unbounded"

    def losses(self, output: Tensor, scores: Tensor) -> dict[str, Tensor]:
        """See `ScoreHead`."""
        return {"squared_error": F.mse_loss(output.squeeze(1), scores)}

    def score(self, output: Tensor) -> Tensor:
        """See `ScoreHead`."""
        return output.reshape(-1)

    def validation_loss(self, scores: Tensor, targets: Tensor) -> float:
        """See `ScoreHead`."""
        return float(F.mse_loss(scores, targets))


@HEADS.register("class")
class MitoticClass(ScoreHead):
    """BC: cross-entropy of s_t > 0; the score is a probability."""

    thresholds: ClassVar[Sequence[float]] = BC_THRESHOLDS
    output: ClassVar[str] = "probability that some of a figure is inside"
    outputs: ClassVar[int] = 2

    def losses(self, output: Tensor, scores: Tensor) -> dict[str, Tensor]:
        """See `ScoreHead`."""
        return {"cross_entropy": F.cross_entropy(output, (scores > 0).long())}

    def score(self, output: Tensor) -> Tensor:
        """See `ScoreHead`."""
        return output.softmax(1)[:, 1]

    def validation_loss(self, scores: Tensor, targets: Tensor) -> float:
        """See `ScoreHead`."""
        return float(F.binary_cross_entropy(scores.clamp(1e-7, 1 - 1e-7), (targets > 0).float()))
