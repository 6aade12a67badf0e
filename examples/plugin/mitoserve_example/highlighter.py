"""Yellow highlighter, as a reason of the quality mask."""

import numpy as np

from serving.quality.parts import Mask, large_parts, morphological_dilate, morphological_erode
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityInputs


@QUALITY_CHECKS.register("highlighter")
class HighlighterCheck(QualityCheck):
    """Yellow ink."""

    method = "takes blue light and hardly any green, which neither stain does"

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """Places of at least 0.004 mm2, with the nuclei in them."""
        _, green, blue = np.moveaxis(inputs.density, 2, 0)
        yellow = large_parts((blue > 0.8) & (green < 0.3), 0.004, inputs.mpp)
        return morphological_erode(morphological_dilate(yellow, 12.0, inputs.mpp), 12.0, inputs.mpp)
