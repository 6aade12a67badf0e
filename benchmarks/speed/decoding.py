"""What one core reads: every patch of a slide's plan by OpenSlide and, where that gives its pixels, without it."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.speed.slides import Case
from serving.core.geometry import Region
from serving.core.modelinput import ModelInput
from serving.core.options import ScoringOptions
from serving.scoring.plan import make_plan
from serving.slides.formats import check_tiff
from serving.slides.openslides import OpenSlideSlide, open_with_openslide


@dataclass(frozen=True, slots=True)
class Decoding:
    """Processor seconds of one thread in this process, with nothing decoded before."""

    megapixels: float
    openslide: float
    direct: float
    levels: list[int]
    """Levels that are read directly."""
    equal: bool


def measure_decoding(case: Case, model: ModelInput) -> Decoding:
    """One turn of both ways, at the slide's own resolution."""
    content = check_tiff(case.path, case.name)
    with open_with_openslide(case.path, case.name, content=content) as slide:
        plan = make_plan(slide, ScoringOptions(roi=case.roi, mpp=case.mpp), model)
        whole = Region(0, 0, slide.width, slide.height)
        patches = [plan.frame.region_to_level0(tile.patch.region).intersection(whole) for tile in plan.tiles]
    with (
        open_with_openslide(case.path, case.name, content=content) as direct,
        open_with_openslide(case.path, case.name, content=content, direct=False) as plain,
    ):
        took = [_processor_seconds(slide, patches) for slide in (plain, direct)]
        equal = all(
            np.array_equal(plain.read(r, r.width, r.height), direct.read(r, r.width, r.height)) for r in patches
        )
        return Decoding(sum(r.area for r in patches) / 1e6, took[0], took[1], direct.direct_levels, equal)


def _processor_seconds(slide: OpenSlideSlide, patches: list[Region]) -> float:
    started = time.process_time()
    for region in patches:
        slide.read(region, region.width, region.height)
    return time.process_time() - started
