"""Tissue out of focus, as a reason of the quality mask; `focus` has the rule."""

from serving.quality.parts import Mask
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityInputs


@QUALITY_CHECKS.register("blur")
class BlurCheck(QualityCheck):
    """Tissue out of focus."""

    method = (
        "mean squared difference of pixels 4 um apart over that 1 um apart, above 7, in the green of scored tiles; tissue with "
        "too little to see is not judged"
    )
    rank = 4

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        return inputs.focus[0]
