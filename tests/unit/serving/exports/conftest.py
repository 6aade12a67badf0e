from pathlib import Path

import numpy as np
import pytest

from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from serving.slides.opening import open_slide
from tests.dicom import write_dicom_slide
from tests.fakes import DotDetector, plant, tissue

DOTS = [(437.0, 437.0), (2062.0, 1312.0)]
"""In the middle of a 125 px block each, which four sub-tiles show whole."""
MPP = 0.23
PLACES = [(437.0, 437.0), (1062.0, 812.0), (700.0, 900.0), (900.0, 300.0)]
"""Of dots that the model counts; those of `UNLIKELY`, with their sides in px, it does not."""
UNLIKELY = {(600.0, 300.0): 14, (1200.0, 500.0): 12}


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """A slide of 2600 x 1700 px, tissue but for the right edge, and two dots."""
    pixels = np.full((1700, 2600, 3), 245, np.uint8)
    pixels[:, :2400] = tissue(2400, 1700)
    for x, y in DOTS:
        plant(pixels, x, y)
    return score_slide(ArraySlide(pixels, mpp=0.25, name="slide.svs"), DotDetector())


@pytest.fixture(scope="session")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, Path]:
    """A DICOM slide, since every format can hold one."""
    pixels = tissue(1800, 1400)
    for x, y in PLACES:
        plant(pixels, x, y)
    for (x, y), side in UNLIKELY.items():
        plant(pixels, x, y, side=side)
    folder = write_dicom_slide(tmp_path_factory.mktemp("dicom"), pixels, mpp=MPP)
    with open_slide(folder) as slide:
        analysis = score_slide(slide, DotDetector())
    assert (len(analysis.report.detections), len(analysis.report.candidates)) == (len(PLACES), len(UNLIKELY))
    return analysis, folder
