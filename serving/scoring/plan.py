"""What to score on a slide: frame, tissue, tiles and patches, settled before the first pixel is read at full size."""

from dataclasses import dataclass
from typing import Literal

from serving.core.errors import MissingResolutionError, ResolutionError, RoiError
from serving.core.geometry import COARSE_RATIO, Region, Roi, WorkFrame
from serving.core.modelinput import ModelInput
from serving.core.options import ScoringOptions
from serving.core.pixelsize import PixelSize
from serving.scoring.tiling import Cell, Patch, TileGrid, Tiling
from serving.scoring.tissue import TissueMask, find_tissue
from serving.slides.slide import Slide
from serving.slides.squared import MOST_OBLONG, size_given


@dataclass(frozen=True, slots=True)
class PlannedTile:
    """One tile to score."""

    cell: Cell
    region: Region
    """Level-0 px, cut at the slide's edges."""
    tissue_fraction: float
    patch: Patch


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """Everything about a slide that is known before inference."""

    frame: WorkFrame
    mpp_source: Literal["slide", "override"]
    tiling: Tiling
    grid: TileGrid
    tissue: TissueMask
    tiles_total: int
    tiles: list[PlannedTile]
    warnings: list[str]


def make_plan(slide: Slide, options: ScoringOptions, model: ModelInput, tissue: TissueMask | None = None) -> SlidePlan:
    """The plan of one analysis, for what its first model is fed.

    tissue : that of another plan of the same analysis; None looks for it

    Raises
    ------
    MissingResolutionError, ResolutionError
        If there is no microns per pixel, or it cannot be resampled.
    RequestError, RoiError
        If an option is out of range or the roi lies outside the slide.
    """
    _check(slide, options)
    size = slide.pixel_size if options.mpp is None else size_given(slide, options.mpp)
    if size is None:
        raise MissingResolutionError(
            f"{slide.name} states no microns per pixel; give `mpp`, such as 0.25 for a 40x scan or 0.5 for 20x"
        )
    if not size.is_square:
        raise ResolutionError(
            f"the slide has pixels of {size}; up to {MOST_OBLONG:g} times as long as wide are resampled. "
            "Give `mpp`, for each axis if they differ (0.25,0.5), if the file states a wrong one."
        )
    mpp = size.mpp
    frame = WorkFrame.from_mpp(mpp, model.mpp)
    tiling = Tiling.from_input(model)
    grid = TileGrid(*frame.size_to_work(slide.width, slide.height), tiling.tile_px)
    # By the resolution that the report states: whoever counts its result again finds the same mask.
    tissue = tissue or find_tissue(slide, round(mpp, 6), options.roi)
    whole = Region(0, 0, slide.width, slide.height)
    regions = {
        cell: frame.region_to_level0(work).intersection(whole) for cell, work in zip(grid.cells(), grid, strict=True)
    }
    inside = {cell: region for cell, region in regions.items() if region.area and _is_requested(options.roi, region)}
    fractions = {cell: tissue.fraction(region) for cell, region in inside.items()}
    chosen = {cell for cell, share in fractions.items() if share >= options.min_tissue_fraction}
    tiles = [
        PlannedTile(cell, region, fractions[cell], tiling.find_patch(cell, chosen))
        for cell, region in inside.items()
        if cell in chosen
    ]
    return SlidePlan(
        frame=frame,
        mpp_source="slide" if options.mpp is None else "override",
        tiling=tiling,
        grid=grid,
        tissue=tissue,
        tiles_total=len(inside),
        tiles=tiles,
        warnings=_warnings(slide, options, frame, model, tiles),
    )


def _is_requested(roi: Roi | None, region: Region) -> bool:
    return roi is None or roi.touches(region)


def _check(slide: Slide, options: ScoringOptions) -> None:
    if options.roi is not None:
        overlap = options.roi.bounds.intersection(Region(0, 0, slide.width, slide.height))
        if not overlap.area:
            raise RoiError(
                f"`roi` {options.roi.bounds} lies outside the slide of {slide.width} x {slide.height} px; "
                "coordinates are level-0 px from the top left corner"
            )


def _warnings(
    slide: Slide, options: ScoringOptions, frame: WorkFrame, model: ModelInput, tiles: list[PlannedTile]
) -> list[str]:
    found = list(slide.notes)
    if options.mpp is not None:
        stated = "no resolution" if slide.mpp is None else f"{slide.mpp:g} um/px"
        found.append(f"mpp {PixelSize.from_mpp(options.mpp).text} was given by the caller; the slide states {stated}")
    if frame.mpp > COARSE_RATIO * model.mpp:
        found.append(
            f"low resolution: {frame.mpp:g} um/px is coarser than {COARSE_RATIO * model.mpp:g} and was enlarged to {frame.work_mpp:g}; "
            "figures and look-alikes are hard to tell apart at this detail"
        )
    if not tiles:
        found.append("no tile holds enough tissue; nothing was scored")
    return found
