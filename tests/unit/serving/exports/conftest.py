import numpy as np
import pytest

from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

DOTS = [(437.0, 437.0), (2062.0, 1312.0)]
"""In the middle of a 125 px block each, which four sub-tiles show whole."""


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """A slide of 2600 x 1700 px, tissue but for the right edge, and two dots."""
    pixels = np.full((1700, 2600, 3), 245, np.uint8)
    pixels[:, :2400] = tissue(2400, 1700)
    for x, y in DOTS:
        plant(pixels, x, y)
    return score_slide(ArraySlide(pixels, mpp=0.25, name="slide.svs"), DotDetector())
